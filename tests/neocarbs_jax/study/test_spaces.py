"""A study over a space with conditions and constraints: what is active is stored, and reads back through every door."""

import json
import warnings

import optuna
import pytest

from neocarbs_jax import Choice, Integer, Linear, Ordinal, Pow2, SearchSpace, Study
from neocarbs_jax.adapters.csv_file import import_csv
from neocarbs_jax.command_line.look import formatted
from neocarbs_jax.optuna_sampler import NeoCARBSSampler
from neocarbs_jax.programs import template
from neocarbs_jax.report import report
from neocarbs_jax.report.plots import figure

SPACE = SearchSpace(
    opt=Choice(("adam", "sgd")),
    momentum=Linear(0.5, 0.99, when={"opt": "sgd"}),
    batch=Pow2(32, 512),
    minibatch=Pow2(8, 512),
    size=Ordinal(("s", "m", "l")),
    constraints=["minibatch <= batch"],
)
ADAM = {"opt": "adam", "batch": 64, "minibatch": 32, "size": "m"}
SGD = {**ADAM, "opt": "sgd", "momentum": 0.7}


def make(tmp_path, space=SPACE, **options):
    options = {"strategy": "random", "compilation_cache": False, **options}
    return Study.create(space, tmp_path / "a.db", name="a", **options)


def check(trial):
    assert ("momentum" in trial.values) == (trial.values["opt"] == "sgd")
    assert SPACE.broken(trial.values) == []


def test_only_what_is_active_is_stored_and_read_back(tmp_path):
    study = make(tmp_path)
    for trial in study.ask(12):
        check(trial)
        study.tell(trial, 1.0, 2.0)
    theirs = optuna.load_study(study_name="a", storage=f"sqlite:///{tmp_path}/a.db").trials
    assert {frozenset(row.params) for row in theirs} == {frozenset(ADAM), frozenset(SGD)}
    again = Study.load(tmp_path / "a.db", name="a", compilation_cache=False)
    assert again.space == SPACE
    assert [t.values for t in again.trials] == [t.values for t in study.trials]
    assert [row.params for row in theirs] == [t.values for t in study.trials]


def test_added_trials_drop_what_is_not_active_and_may_break_constraints(tmp_path):
    study = make(tmp_path)
    assert study.add({**ADAM, "momentum": 0.9}, 1.0, 1.0).values == ADAM
    assert study.add({**SGD, "minibatch": 512}, 1.0, 1.0).values == {**SGD, "minibatch": 512}
    with pytest.raises(ValueError, match="`values` must hold all axes; momentum is missing"):
        study.add({**ADAM, "opt": "sgd"}, 1.0, 1.0)


def test_queued_trials_are_completed_and_forbidden_ones_refused(tmp_path):
    study = make(tmp_path)
    with pytest.raises(ValueError, match=r"`values` must satisfy the constraints \(minibatch <= batch\); got"):
        study.enqueue({"batch": 32, "minibatch": 64})
    study.enqueue({"momentum": 0.6})
    study.enqueue({"opt": "adam", "momentum": 0.6})
    study.enqueue({"minibatch": 512})
    study.enqueue(SGD)
    first, second, third, fourth = study.ask(4)
    assert (first.values["opt"], first.values["momentum"]) == ("sgd", 0.6)
    assert second.values["opt"] == "adam"
    assert third.values["batch"] == 512
    assert fourth.values == SGD
    for trial in (first, second, third, fourth):
        check(trial)
    assert [t.values for t in study.trials] == [t.values for t in (first, second, third, fourth)]


def test_tables_files_and_figures_know_absent_values(tmp_path):
    study = make(tmp_path)
    study.add(ADAM, 1.0, 1.0)
    study.add(SGD, 2.0, 2.0)
    study.add({**SGD, "momentum": 0.8}, float("nan"), 2.0)
    assert "0.7" in study._repr_html_()
    frame = study.trials_dataframe()
    assert frame.momentum.isna().tolist() == [True, False, False]
    for name in ("front", "hyperparameters", "order", "parallel", "spend"):
        figure(study, name)
    report.write(tmp_path / "out", study.trials, study.log_axes, title="a", space=study.space)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "opt is &#x27;sgd&#x27;" in page
    assert "Always minibatch &lt;= batch." in page
    other = Study.create(SPACE, tmp_path / "b.db", strategy="random", compilation_cache=False)
    assert import_csv(other, tmp_path / "out" / "trials.csv").added == 3
    assert [t.values for t in other.trials] == [t.values for t in study.trials]
    assert json.loads(formatted(study.front[0].values, "json")) == ADAM
    assert "momentum" in SPACE._repr_html_()


def test_a_command_leaves_out_what_is_not_active():
    words = template.split("train --opt {opt} --momentum {momentum} --m={momentum} --flag -b {batch}")
    assert template.fill(words, ADAM, {}) == ["train", "--opt", "adam", "--flag", "-b", "64"]
    assert template.fill(words, SGD, {})[3:6] == ["--momentum", "0.7", "--m=0.7"]


def test_a_space_may_gain_conditions_and_constraints(tmp_path):
    plain = SearchSpace(opt=Choice(("adam", "sgd")), batch=Pow2(32, 512), minibatch=Pow2(8, 512))
    study = make(tmp_path, plain)
    study.add({"opt": "sgd", "batch": 32, "minibatch": 32}, 1.0, 1.0)
    with pytest.warns(UserWarning, match="momentum is new .0.745.*constraints are minibatch <= batch"):
        study = make(tmp_path, SPACE)
    check(study.ask()[0])


def test_constraints_that_are_functions_must_be_given_again(tmp_path):
    def small(values):
        return values["x"] + values["y"] <= 4

    space = SearchSpace(x=Integer(0, 9), y=Integer(0, 9), constraints=[small])
    study = make(tmp_path, space)
    assert all(sum(trial.values.values()) <= 4 for trial in study.ask(5))
    with pytest.warns(UserWarning, match="was made with the constraint small, which no storage can keep"):
        Study.load(tmp_path / "a.db", name="a", compilation_cache=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(tmp_path, space)


def test_the_optuna_sampler_knows_conditions():
    space = SearchSpace(opt=Choice(("adam", "sgd")), momentum=Linear(0.5, 0.99, when={"opt": "sgd"}))
    study = optuna.create_study(
        sampler=NeoCARBSSampler(space, seed=1, strategy="random"), directions=["maximize", "minimize"]
    )

    def objective(trial):
        opt = trial.suggest_categorical("opt", ["adam", "sgd"])
        return (trial.suggest_float("momentum", 0.5, 0.99) if opt == "sgd" else 0.0), 1.0

    study.optimize(objective, n_trials=8)
    assert {"opt", "momentum"} == {name for row in study.trials for name in row.params}


@pytest.mark.slow
def test_the_tuner_finds_the_better_branch(tmp_path):
    study = make(tmp_path, strategy="neocarbs")

    def objective(values):
        check_values = values["momentum"] if values["opt"] == "sgd" else 0.5
        score = 1 - (check_values - 0.8) ** 2 if values["opt"] == "sgd" else 0.5
        return score - 0.1 * (values["minibatch"] < 32), values["batch"]

    trials = study.run(objective, num_trials=24)
    for trial in trials:
        check(trial)
    assert sum(t.values["opt"] == "sgd" for t in trials[12:]) >= 8
    assert study.expected_front[-1].values["opt"] == "sgd"
    assert study.importances[-1].shares["momentum"] != 0
