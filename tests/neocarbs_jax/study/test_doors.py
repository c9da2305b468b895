"""What users bring to a study: trials of their own, other tools' studies, options, storages of every kind."""

import json
import math
import subprocess
import sys
import textwrap

import numpy as np
import optuna
import pytest

from neocarbs_jax.gp import KernelBuilder
from neocarbs_jax.space import Choice, Integer, Linear, Log, Logit, Pow2, SearchSpace
from neocarbs_jax.strategies import NeoCARBS
from neocarbs_jax.study import Study

SPACE = SearchSpace(learning_rate=Log(1e-5, 1e-1), epochs=Integer(1, 8))


def objective(values):
    """Best at a learning rate of 1e-3; a cost in epochs."""
    return -((math.log10(values["learning_rate"]) + 3) ** 2), float(values.get("epochs", 4))


# Trials from elsewhere


def test_queued_trials_come_first_whoever_queues_them(storage):
    study = Study.create(SPACE, storage)
    study.enqueue({"learning_rate": 2e-3, "epochs": 7}, note="mine")
    study.optuna_study.enqueue_trial({"learning_rate": 3e-3})
    study.enqueue({"epochs": 64})  # beyond its bounds
    assert [t.status for t in study.trials] == ["queued"] * 3
    seen = []
    trials = study.run(lambda values: (seen.append(values), 1.0)[1:] * 2, num_trials=4)
    assert seen[0] == {"learning_rate": 2e-3, "epochs": 7}
    assert seen[1]["learning_rate"] == 3e-3
    assert seen[1]["epochs"] in range(1, 9)
    assert seen[2]["epochs"] == 64
    assert [t.values for t in trials] == seen
    assert trials[0].attrs == {"note": "mine"}
    assert [t.status for t in trials] == ["completed"] * 4


def test_the_queue_is_data_while_it_waits(storage):
    """What is queued is pending: a suggestion knows of it."""
    study = Study.create(SPACE, storage)
    study.enqueue({"learning_rate": 2e-3, "epochs": 7})
    other = Study.load(storage)
    [first], [second] = study.ask(), other.ask()
    assert first.values == {"learning_rate": 2e-3, "epochs": 7}
    assert second.values != first.values


def test_trials_run_elsewhere_warm_the_sweep(storage):
    study = Study.create(SPACE, storage, strategy=NeoCARBS(num_initial=2))
    for i, rate in enumerate([1e-7, 1e-4, 1e-3, 1e-2, 1.0, 10.0]):  # some of them outside the space
        values = {"learning_rate": rate, "epochs": 1 + i}
        added = study.add(values, *objective(values), source="notes")
        assert (added.status, added.values, added.attrs) == ("completed", values, {"source": "notes"})
    assert study.add({"learning_rate": 1e-2, "epochs": 3}, math.nan, 5.0, reason="diverged").reason == "diverged"
    [trial] = Study.load(storage).ask()
    assert trial.number == 7
    assert trial.predicted_score is not None
    assert 1e-5 <= trial.values["learning_rate"] <= 1e-1
    assert [t.number for t in study.front] == [0, 1, 2]  # those beyond the bounds were measured too


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.enqueue({"lr": 1.0}), "`values` must be of axes of the space .learning_rate, epochs.; got 'lr'"),
        (lambda s: s.enqueue({"learning_rate": 0.0}), "`learning_rate` must be a value of Log.*; got 0.0"),
        (lambda s: s.enqueue({"learning_rate": "x"}), "`learning_rate` must be a value of Log.*; got 'x'"),
        (lambda s: s.add({"learning_rate": 1e-3}, 1.0, 1.0), "`values` must hold all axes; epochs is missing"),
        (lambda s: s.add({"learning_rate": 1e-3, "epochs": 1}, 1.0, 0.0), "`cost` must be positive and finite; got 0"),
    ],
)
def test_what_is_no_trial_is_refused(storage, call, message):
    study = Study.create(SPACE, storage)
    with pytest.raises(ValueError, match=message):
        call(study)
    assert study.trials == []


# Studies of other tools


def test_a_study_of_other_directions_is_refused(storage):
    optuna.create_study(storage=storage, study_name="a", directions=["minimize", "minimize"])
    for adopt in (False, True):
        with pytest.raises(ValueError, match="directions maximize, minimize; 'a' has minimize, minimize"):
            Study.create(SPACE, storage, name="a", adopt=adopt)


def test_a_study_of_another_tool_is_adopted_on_request_alone(storage):
    theirs = optuna.create_study(storage=storage, study_name="a", directions=["maximize", "minimize"])

    def suggest(trial):
        rate = trial.suggest_float("learning_rate", 1e-6, 1.0, log=True)
        if trial.number == 2:
            raise FloatingPointError
        epochs = trial.suggest_int("epochs", 1, 100) if trial.number != 3 else 2
        return rate, (epochs if trial.number != 4 else -1)

    theirs.optimize(suggest, n_trials=8, catch=(FloatingPointError,))
    with pytest.raises(ValueError, match=r"'a' was made by another tool\. With adopt=True it goes on"):
        Study.create(SPACE, storage, name="a")
    with pytest.raises(ValueError, match="'a' has no search space"):
        Study.load(storage, name="a")
    study = Study.create(SPACE, storage, name="a", adopt=True)
    assert [t.status for t in study.trials] == [
        "completed", "completed", "interrupted", "completed", "failed", "completed", "completed", "completed",
    ]  # fmt: skip
    assert study.trials[4].reason == "cost is -1.0, and must be positive and finite"
    trials = study.run(objective, num_trials=9)
    assert trials[-1].status == "completed"
    assert len(Study.load(storage, name="a").trials) == 10


CHOICES = SearchSpace(
    layers=Choice(((64, 64), [128], [[1, 2], 3])),
    mixed=Choice((None, True, "x", 2.5, 7)),
    net={"kind": Choice(("[64, 64]", (64, 64))), "size": Pow2(1, 8)},
    step=Linear(0, 0.3, step=0.1),
)


@pytest.mark.parametrize("kind", ["sqlite", "journal", "memory"])
def test_options_of_every_kind_come_back_as_they_are(tmp_path, kind):
    storage = {
        "sqlite": f"sqlite:///{tmp_path}/a.db?timeout=60",
        "journal": tmp_path / "a.log",
        "memory": optuna.storages.InMemoryStorage(),
    }[kind]
    seen = []
    study = Study.create(CHOICES, storage, strategy="random")
    study.enqueue({"layers": [[1, 2], 3], "mixed": None})
    study.run(lambda values: (seen.append(values) or 1.0, 1.0), num_trials=12)
    assert (seen[0]["layers"], seen[0]["mixed"]) == (((1, 2), 3), None)
    loaded = Study.load(storage)
    assert loaded.space == CHOICES
    assert [t.values for t in loaded.trials] == seen
    for values in seen:
        CHOICES.validate(values)


def test_options_that_no_storage_can_keep_are_refused(storage):
    space = SearchSpace(activation=Choice((math.sin, math.cos)))
    with pytest.raises(ValueError, match=r"Options of `activation` must be numbers, strings.*; got <built-in"):
        Study.create(space, storage)
    with pytest.raises(ValueError, match="`options` must be numbers, strings, booleans, None, or tuples of such"):
        Choice(({"a": 1}, {"a": 2}))


# Options of a study


def test_a_study_keeps_its_options(storage):
    strategy = NeoCARBS(num_initial=3, target_width=0.3)
    options = {"strategy": strategy, "warp": ("log", "rank"), "trial_cap": 50.0, "delta": 0.1, "resample_every": 7}
    Study.create(SPACE, storage, seed=5, **options)
    for study in (Study.load(storage), Study.create(SPACE, storage), Study.create(SPACE, storage, **options)):
        assert {name: getattr(study._config, name) for name in options} == options
        assert study._seed == 5
    assert Study.load(storage, delta=0.2)._config.delta == 0.2
    with pytest.warns(UserWarning, match="goes on with other options: strategy, delta"):
        Study.create(SPACE, storage, strategy="random", delta=0.05)
    assert Study.load(storage)._config.strategy.name == "random"
    assert Study.load(storage)._config.trial_cap == 50.0
    with pytest.warns(UserWarning, match="keeps its seed, 5; got 6"):
        Study.create(SPACE, storage, seed=6)


@pytest.mark.parametrize("make", [Study.create, lambda space, *args, **kwargs: Study.load(*args, **kwargs)])
def test_misspelt_options_are_named(storage, make):
    Study.create(SPACE, storage)
    with pytest.raises(ValueError, match=r"Options of a study must be among strategy, .*; got 'maxcost'"):
        make(SPACE, storage, maxcost=1.0)


# Storages


@pytest.mark.parametrize(
    "place",
    ["sqlite:///{}/a.db", "sqlite:///{}/a.db?timeout=60", "journal:///{}/a.log", "{}/a.db", "{}/a.sqlite3", "{}/a.log"],
)
def test_every_storage_resumes_alike(tmp_path, place):
    storage = place.format(tmp_path)
    expected = Study.create(SPACE, optuna.storages.InMemoryStorage()).run(objective, num_trials=5)
    Study.create(SPACE, storage).run(objective, num_trials=3)
    got = Study.load(storage).run(objective, num_trials=5)
    assert [(t.values, t.score, t.cost) for t in got] == [(t.values, t.score, t.cost) for t in expected]
    with pytest.raises(ValueError, match="`storage` must exist"):
        Study.load(storage.replace("a.", "b."))


@pytest.mark.parametrize("storage", ["sqlite:///:memory:", "sqlite://"])
def test_a_study_in_memory_needs_no_file(storage):
    assert len(Study.create(SPACE, storage).run(objective, num_trials=2)) == 2


@pytest.mark.parametrize("storage", ["", "sweep", 7, None])
def test_what_names_no_storage_is_refused(storage):
    with pytest.raises(ValueError, match="`storage` must be"):
        Study.create(SPACE, storage)


def test_a_kernel_of_ones_own_is_asked_for_again(storage):
    from neocarbs_jax.gp import MATERN_LINEAR

    kernel = KernelBuilder(MATERN_LINEAR.build, MATERN_LINEAR.prior)
    Study.create(SearchSpace(gamma=Logit(0.8, 0.99)), storage, kernel_fn=kernel)
    with pytest.warns(UserWarning, match="was made with kernel_fn, which no storage can keep: give them again"):
        Study.load(storage)
    assert Study.load(storage, kernel_fn=kernel)._config.kernel_fn is kernel
    assert json.loads(json.dumps(Study.load(storage, kernel_fn=kernel).optuna_study.user_attrs["options"])) == {}


# What a hostile reader found


@pytest.mark.parametrize(
    "options", [{"catch": ValueError}, {"catch": ("ValueError",)}, {"time_limit": math.inf}, {"time_limit": -1.0}]
)
def test_arguments_of_a_run_are_checked_before_its_first_trial(storage, options):
    study = Study.create(SPACE, storage)
    with pytest.raises(ValueError, match=r"`catch` must be a tuple of exceptions|`time_limit` must be"):
        study.run(objective, num_trials=1, **options)
    assert study.trials == []


def test_an_objective_that_ends_its_own_trial_hides_no_exception(storage):
    study = Study.create(SPACE, storage, strategy="random")

    def leaves(values):
        assert [t.status for t in study.take_back()] == ["interrupted"]
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        study.run(leaves, num_trials=1)
    study.run(objective, num_trials=1)
    assert study.take_back() == []


def test_numbers_of_numpy_are_numbers_everywhere(storage):
    space = SearchSpace(n=Integer(np.int64(0), 5, center=np.int64(3)), x=Linear(np.float32(0), 1))
    study = Study.create(space, storage, seed=np.int64(3), strategy="random")
    study.enqueue({"n": np.int64(2), "x": np.float32(0.5)})
    [trial] = study.ask()
    study.annotate(trial, values={"x": np.float32(0.25)})
    assert study.tell(trial, 1.0, 1.0).values == {"n": 2, "x": 0.25}
    study.add({"n": np.int64(4), "x": np.float64(0.1)}, np.float32(1), np.int64(2))
    with pytest.warns(UserWarning, match="y is new .7 in earlier"):
        Study.create(SearchSpace(**dict(space.axes), y=Integer(0, 9)), storage, defaults={"y": np.int64(7)})
    assert Study.load(storage).defaults == {"y": 7}


def test_nothing_is_written_where_options_do_not_fit_the_space(storage):
    Study.create(SearchSpace(x=Linear(0, 1), y=Linear(0, 1)), storage, budget="y")
    with pytest.raises(ValueError, match="`budget` must be one of x"):
        Study.create(SearchSpace(x=Linear(0, 1)), storage)
    assert Study.load(storage).space.names == ("x", "y")
    with pytest.raises(ValueError, match="`seed` must be a whole number from 0 to 2"):
        Study.create(SPACE, storage, name="other", seed="a")
    with pytest.raises(ValueError, match=r"\(sweep\); got 'other'"):
        Study.load(storage, name="other")


def test_the_queue_gives_no_value_that_its_axis_cannot_have(storage):
    study = Study.create(SearchSpace(x=Choice(("a", "b")), n=Integer(0, 9), fixed=7), storage, strategy="random")
    study.enqueue({"x": "a", "n": 3})
    for wrong, message in [({"n": 3.5}, "`n` must be a value of Integer"), ({"fixed": 99}, "`fixed` must be 7")]:
        with pytest.raises(ValueError, match=message):
            study.enqueue(wrong)
    with pytest.warns(UserWarning, match="x is Linear"):
        study = Study.create(SearchSpace(x=Linear(0, 1), n=Integer(0, 9)), storage)
    [trial] = study.ask()
    assert trial.values["n"] == 3
    assert 0 <= trial.values["x"] <= 1


CREATOR = """
    import sys, warnings
    from neocarbs_jax.space import Linear, SearchSpace
    from neocarbs_jax.study import Study
    warnings.simplefilter("ignore")
    number = int(sys.argv[2])
    study = Study.create(SearchSpace(x=Linear(0, 1)), sys.argv[1], seed=number)
    print(study._seed)
"""


def test_workers_that_make_a_study_at_once_agree_about_it(storage, tmp_path):
    script = tmp_path / "creator.py"
    script.write_text(textwrap.dedent(CREATOR))
    workers = [
        subprocess.Popen([sys.executable, script, storage, str(number)], stdout=subprocess.PIPE, text=True)
        for number in (1, 2, 3)
    ]
    seeds = {worker.communicate(timeout=120)[0] for worker in workers}
    assert seeds == {f"{Study.load(storage)._seed}\n"}
