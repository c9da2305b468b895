"""NeoCARBS inside Optuna's own loop, as Optuna's users write it."""

import math
import pickle
import time

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from neocarbs_jax import optuna_sampler
from neocarbs_jax.adapters.optuna_rows import SECONDS, Roles, groups
from neocarbs_jax.adapters.optuna_sampler import NeoCARBSSampler
from neocarbs_jax.space import Choice, Integer, Log, SearchSpace

SPACE = SearchSpace(lr=Log(1e-5, 1e-1), epochs=Integer(1, 8), kind=Choice(("a", "b")))
BOTH = ["maximize", "minimize"]


def objective(trial):
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    epochs = trial.suggest_int("epochs", 1, 8)
    kind = trial.suggest_categorical("kind", ("a", "b"))
    trial.suggest_float("unknown_to_the_space", 0, 1)
    if trial.number == 3:
        raise FloatingPointError("diverged")
    return lr * epochs + (kind == "a"), epochs


def points(study):
    return [tuple(t.params.items()) for t in study.trials]


def test_optuna_optimizes_with_it():
    sampler = NeoCARBSSampler(SPACE, seed=1)
    study = optuna.create_study(sampler=sampler, directions=BOTH)
    study.optimize(objective, n_trials=6, catch=(FloatingPointError,))
    assert [t.state.name for t in study.trials].count("COMPLETE") == 5
    assert len({t.params["lr"] for t in study.trials}) == 6
    assert study.trials[0].params["lr"] == pytest.approx(1e-3)  # the centre of the space
    assert len({t.params["unknown_to_the_space"] for t in study.trials}) == 6  # drawn at random


def test_the_short_name_is_the_same_sampler():
    assert optuna_sampler.NeoCARBSSampler is NeoCARBSSampler


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "guess"}, r"`strategy` must be a Strategy or one of neocarbs, .*; got 'guess'"),
        ({"space": {"lr": 1}}, r"`space` must be a SearchSpace or None; got \{'lr': 1\}"),
        ({"n_startup_trials": 0}, "`n_startup_trials` must be at least 1; got 0"),
    ],
)
def test_bad_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        NeoCARBSSampler(**options)


# Trials that run


@pytest.mark.parametrize("space", [SPACE, pytest.param(None, marks=pytest.mark.slow)])
def test_trials_that_are_asked_for_together_differ(space):
    study = optuna.create_study(sampler=NeoCARBSSampler(space, n_startup_trials=2), directions=BOTH)
    study.optimize(objective, n_trials=3)
    asked = [study.ask() for _ in range(4)]
    lrs = [trial.suggest_float("lr", 1e-5, 1e-1, log=True) for trial in asked]
    assert len(set(lrs)) == 4


def test_threads_draw_different_points():
    study = optuna.create_study(sampler=NeoCARBSSampler(SPACE), directions=BOTH)
    study.optimize(objective, n_trials=8, n_jobs=2, catch=(FloatingPointError,))
    assert len(set(points(study))) == 8


# Conditional parameters


@pytest.mark.slow
def test_conditional_parameters_are_learnt_in_groups():
    def conditional(trial):
        lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
        if lr <= 0.01:
            return -abs(math.log10(lr) + 1), 1.0
        epochs = trial.suggest_int("epochs", 1, 100)
        return -abs(math.log10(lr) + 1) - abs(epochs - 90) / 20, 1.0 + epochs / 100

    study = optuna.create_study(sampler=NeoCARBSSampler(n_startup_trials=6), directions=BOTH)
    study.optimize(conditional, n_trials=24)
    assert len({t.params["lr"] for t in study.trials}) > 20
    late = [t.params["epochs"] for t in study.trials[12:] if "epochs" in t.params]
    assert len(set(late)) > 3
    assert max(t.values[0] for t in study.trials[12:]) > max(t.values[0] for t in study.trials[:6])


def test_parameters_of_the_same_trials_form_a_group():
    first = optuna.create_trial(
        values=[0.0, 1.0],
        params={"a": 0.5, "b": 1},
        distributions={"a": FloatDistribution(0, 1), "b": IntDistribution(0, 3)},
    )
    second = optuna.create_trial(
        values=[0.0, 1.0], params={"c": "x"}, distributions={"c": CategoricalDistribution("xy")}
    )
    second.number = 1
    third = optuna.create_trial(
        values=[0.0, 1.0],
        params={"a": 5.0, "b": 1},
        distributions={"a": FloatDistribution(0, 9), "b": IntDistribution(0, 3)},
    )
    third.number = 2
    first_group, second_group = groups([first, second, third])
    assert first_group == {"a": FloatDistribution(0, 9), "b": IntDistribution(0, 3)}  # the latest bounds
    assert second_group == {"c": CategoricalDistribution("xy")}


# Trials from elsewhere


def elsewhere(params, distributions, **options):
    return optuna.create_trial(params=params, distributions=distributions, **options)


@pytest.mark.parametrize("space", [SPACE, pytest.param(None, marks=pytest.mark.slow)])
def test_trials_from_elsewhere_are_never_fatal(space):
    study = optuna.create_study(sampler=NeoCARBSSampler(space, n_startup_trials=3), directions=BOTH)
    wide = {"lr": FloatDistribution(1e-9, 10, log=True), "epochs": IntDistribution(0, 1000)}
    kinds = {"kind": CategoricalDistribution(("a", "b", "c"))}
    for lr, epochs, kind in [(1.0, 900, "a"), (1e-8, 0, "b"), (1e-3, 4, "c"), (1e-3, 4, "a")]:
        params = {"lr": lr, "epochs": epochs, "kind": kind}
        study.add_trial(elsewhere(params, wide | kinds, values=[0.1, 3.0]))
    study.add_trial(elsewhere({"lr": 0.1}, {"lr": wide["lr"]}, values=[0.5, 1.0]))
    study.add_trial(elsewhere({}, {}, values=[0.5, -1.0]))
    study.add_trial(elsewhere({}, {}, state=optuna.trial.TrialState.FAIL))
    study.enqueue_trial({"lr": 0.05, "epochs": 2, "kind": "b"})
    study.enqueue_trial({"epochs": 77, "other": 1})
    with pytest.warns(UserWarning, match="77 is out of range"):
        study.optimize(objective, n_trials=6, catch=(FloatingPointError,))
    assert study.trials[7].params["lr"] == 0.05
    assert all(t.state.name == "COMPLETE" for t in study.trials[7:])
    assert len(set(points(study)[7:])) == 6


def test_what_was_added_is_learnt_from():
    """Thirty trials say that small rates score high: the next ones are small."""
    study = optuna.create_study(sampler=NeoCARBSSampler(SearchSpace(lr=Log(1e-5, 1e-1))), directions=BOTH)
    for i in range(30):
        lr = 10 ** (-5 + 4 * i / 29)
        values = [-math.log10(lr), 1.0 + 0.01 * (i % 3)]
        study.add_trial(elsewhere({"lr": lr}, {"lr": FloatDistribution(1e-5, 1e-1, log=True)}, values=values))
    lrs = [study.ask().suggest_float("lr", 1e-5, 1e-1, log=True) for _ in range(3)]
    assert sorted(lrs)[1] < 1e-4


def test_another_study_of_the_same_sampler_is_another_study():
    sampler = NeoCARBSSampler(SPACE)
    firsts = []
    for _ in range(2):
        study = optuna.create_study(sampler=sampler, directions=BOTH)
        study.optimize(objective, n_trials=3)
        firsts.append([t.params["lr"] for t in study.trials])
    assert firsts[0] == firsts[1]


# Scores and costs


def test_one_objective_costs_its_duration():
    def slow(trial):
        x = trial.suggest_float("x", 0, 1)
        time.sleep(0.002)
        return (x - 0.3) ** 2

    study = optuna.create_study(sampler=NeoCARBSSampler(n_startup_trials=5))
    study.optimize(slow, n_trials=9)
    results = [Roles().of(study).result(study, row) for row in study.trials]
    assert [result.score for result in results] == [-row.value for row in study.trials]  # to be minimised
    # Without the time that sampling took, which compiles programs of seconds.
    durations = [row.duration.total_seconds() - row.system_attrs.get(SECONDS, 0.0) for row in study.trials]
    assert [result.cost for result in results] == pytest.approx(durations)
    assert all(duration >= 0.002 for duration in durations)
    assert sum(row.duration.total_seconds() for row in study.trials) > 2 * sum(durations)


def test_a_user_attribute_can_be_the_cost():
    def costly(trial):
        trial.set_user_attr("hours", 1 + trial.suggest_int("n", 1, 50))
        return trial.params["n"] if trial.number != 2 else math.nan

    roles = Roles(cost_attr="hours")
    study = optuna.create_study(sampler=NeoCARBSSampler(cost_attr="hours", n_startup_trials=4), direction="maximize")
    study.optimize(costly, n_trials=7, catch=())
    result = roles.of(study).result(study, study.trials[1])
    assert (result.score, result.cost) == (study.trials[1].value, study.trials[1].user_attrs["hours"])
    study.add_trial(elsewhere({"n": 3}, {"n": IntDistribution(1, 50)}, value=3.0))
    assert roles.of(study).result(study, study.trials[-1]) is None  # of unknown cost: left out
    study.optimize(costly, n_trials=1)


@pytest.mark.parametrize(
    ("directions", "roles", "expected"),
    [
        (["maximize", "minimize"], {}, (0, 1)),
        (["minimize", "maximize"], {}, (1, 0)),
        (["minimize", "minimize"], {"score": 1}, (1, 0)),
        (["minimize", "minimize"], {"cost": "b"}, (0, 1)),
        (["maximize", "maximize", "minimize"], {"score": "b", "cost": 2}, (1, 2)),
        (["maximize", "maximize"], {"score": 0, "cost_attr": "hours"}, (0, None)),
        (["minimize"], {}, (0, None)),
    ],
)
def test_score_and_cost_are_clear_or_said(directions, roles, expected):
    study = optuna.create_study(directions=directions)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(list("abc")[: len(directions)])
    found = Roles(**roles).of(study)
    assert (found.score, found.cost) == expected


@pytest.mark.parametrize(
    ("directions", "roles", "message"),
    [
        (
            ["minimize", "minimize"],
            {},
            r"`directions` must be one to maximize.*got \['minimize', 'm",
        ),
        (["maximize", "maximize", "minimize"], {"score": 0}, "`score=` and `cost=` must say which"),
        (["maximize", "minimize"], {"score": 1, "cost": 1}, "must say which"),
        (["maximize", "minimize"], {"score": 2}, "`score` must be an index below 2; got 2"),
        (["maximize", "minimize"], {"cost": "hours"}, "`cost` must be an index below 2; got 'hours'"),
    ],
)
def test_unclear_roles_are_refused(directions, roles, message):
    study = optuna.create_study(sampler=NeoCARBSSampler(SPACE, **roles), directions=directions)
    with pytest.raises(ValueError, match=message):
        study.optimize(lambda trial: trial.suggest_float("lr", 1e-5, 1e-1, log=True), n_trials=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_infeasible_trials_teach_where_constraints_hold(seed):
    def constrained(trial):
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_constraint("left half", x - 0.5)
        return x + y, 1.0 + y

    study = optuna.create_study(sampler=NeoCARBSSampler(n_startup_trials=8, seed=seed), directions=BOTH)
    study.optimize(constrained, n_trials=28)
    late = [t.params["x"] <= 0.5 for t in study.trials[14:]]
    assert sum(late) >= 0.7 * len(late)  # half of them by chance, and the score calls for the other half


def test_a_pruned_trial_counts_with_what_it_reached():
    study = optuna.create_study(direction="maximize")
    with_value = study.ask()
    with_value.report(0.5, 1)
    with_value.report(0.7, 2)
    study.tell(with_value, state=optuna.trial.TrialState.PRUNED)
    study.tell(study.ask(), state=optuna.trial.TrialState.PRUNED)
    roles = Roles().of(study)
    assert roles.result(study, study.trials[0]).score == 0.7
    assert roles.result(study, study.trials[1]).flaw is not None


def test_a_copy_of_a_sampler_goes_on():
    study = optuna.create_study(sampler=NeoCARBSSampler(SPACE), directions=BOTH)
    study.optimize(objective, n_trials=2)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    study.optimize(objective, n_trials=1)
    assert len(set(points(study))) == 3


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution:UserWarning")
def test_tuples_huge_ranges_and_no_seed_are_as_with_other_samplers():
    def odd(trial):
        trial.suggest_categorical("layers", [(1, 2), (64, 64)])
        trial.suggest_int("huge", 0, 2**63 - 1)
        return trial.suggest_float("x", 0, 1), 1.0

    study = optuna.create_study(sampler=NeoCARBSSampler(seed=None, n_startup_trials=2), directions=BOTH)
    study.optimize(odd, n_trials=4)
    assert {t.params["layers"] for t in study.trials} <= {(1, 2), (64, 64)}
