"""A study goes on over another space: what changes is said, and earlier trials stay data."""

import math

import optuna
import pytest

from neocarbs_jax.space import Choice, Integer, Linear, Log, SearchSpace
from neocarbs_jax.study import Study, changes

SPACE = SearchSpace(learning_rate=Log(1e-5, 1e-1), epochs=Integer(1, 8))


def objective(values):
    return math.log10(values["learning_rate"]), float(values.get("epochs", 4))


def test_a_study_goes_on_over_other_bounds(storage):
    Study.create(SPACE, storage).run(objective, num_trials=5)
    wider = SearchSpace(learning_rate=Log(1e-7, 1.0), epochs=Integer(1, 4))
    with pytest.warns(UserWarning, match=r"learning_rate is Log\(1e-07, 1.0\); epochs is Integer\(1, 4\)"):
        study = Study.create(wider, storage)
    trials = study.run(objective, num_trials=8)
    assert [t.status for t in trials] == ["completed"] * 8
    assert all(t.values["epochs"] <= 4 for t in trials[5:])
    again = Study.create(wider, storage)  # says nothing: it is the study's own space now
    assert Study.load(storage).space == again.space == wider


def test_a_study_goes_on_with_a_new_axis_and_without_an_old_one(storage):
    Study.create(SPACE, storage).run(objective, num_trials=5)
    other = SearchSpace(learning_rate=Log(1e-5, 1e-1), clip=Linear(0, 1), kind=Choice(("a", "b")))
    said = "clip is new .0.25 in earlier trials.; kind is new .'a' in earlier trials.; not searched any more: epochs"
    with pytest.warns(UserWarning, match=said):
        study = Study.create(other, storage, defaults={"clip": 0.25})
    trials = study.run(objective, num_trials=7)
    assert set(trials[-1].values) == {"learning_rate", "clip", "kind"}
    assert set(trials[0].values) == {"learning_rate", "epochs"}
    places = [study._memory.place(study.space, t, study._defaults) for t in trials]
    assert [p.tolist()[1:] for p in places[:5]] == [[0.25, 1.0, 0.0]] * 5
    assert Study.load(storage)._defaults == {"clip": 0.25, "kind": "a"}


def test_an_axis_of_another_kind_is_kept_beside_the_old_one(storage):
    """Optuna allows a parameter one kind of distribution for ever."""
    first = SearchSpace(rate=Linear(0.001, 1), kind=Choice(("a", "b")), n=Integer(1, 8))
    Study.create(first, storage).run(lambda values: (values["rate"], 1.0), num_trials=4)
    second = SearchSpace(rate=Log(0.001, 1), kind=Choice(("b", "c", (1, 2))), n=Linear(1, 8))
    with pytest.warns(UserWarning, match="rate is Log"):
        study = Study.create(second, storage)
    trials = study.run(lambda values: (values["rate"], 1.0), num_trials=8)
    for trial in Study.load(storage).trials[4:]:
        second.validate(trial.values)
    assert [t.values for t in trials] == [t.values for t in Study.load(storage).trials]
    places = [study._memory.place(study.space, t, {}) for t in trials]
    assert [p is None for p in places[:4]] == [t.values["kind"] == "a" for t in trials[:4]]


def test_a_fixed_value_that_is_searched_later_is_what_old_trials_have(storage):
    Study.create(SearchSpace(rate=Log(1e-3, 1), clip=0.25), storage).run(lambda v: (v["rate"], 1.0), num_trials=2)
    with pytest.warns(UserWarning, match="clip is searched"):
        study = Study.create(SearchSpace(rate=Log(1e-3, 1), clip=Linear(0, 1)), storage)
    assert [study._memory.place(study.space, t, {})[1] for t in study.trials] == [0.25, 0.25]


def test_a_late_result_and_an_added_trial_fit_a_study_whose_axis_changed_its_kind(storage):
    study = Study.create(SearchSpace(x=Linear(0.1, 1)), storage, strategy="random")
    study.run(lambda values: (values["x"], 1.0), num_trials=1)
    with pytest.warns(UserWarning, match="x is Log"):
        study = Study.create(SearchSpace(x=Log(0.1, 1)), storage)
    [trial] = study.ask()
    study.optuna_study._storage.set_trial_state_values(2, optuna.trial.TrialState.FAIL)
    assert study.tell(trial, 3.0, 1.0).values == trial.values
    assert study.add({"x": 5.0}, 1.0, 1.0).values == {"x": 5.0}
    with pytest.raises(ValueError, match="`trial` must be running; got trial 1, interrupted"):
        study.tell(trial, 4.0, 1.0)  # once is enough
    assert [t.score for t in study.trials] == [study.trials[0].score, None, 3.0, 1.0]
    assert study._pulse._trial_ids == {}


@pytest.mark.filterwarnings("ignore:Study 'sweep' goes on:UserWarning")
def test_values_of_axes_that_come_and_go_are_remembered(storage):
    study = Study.create(SearchSpace(x=Linear(0, 1)), storage, strategy="random")
    study.run(lambda values: (values["x"], 1.0), num_trials=1)
    Study.create(SearchSpace(x=Linear(0, 1), z=3), storage)
    study = Study.create(SearchSpace(x=Linear(0, 1), z=Linear(0, 10), y=Linear(0, 9)), storage, defaults={"y": 7})
    assert study.defaults == {"z": 3, "y": 7}
    Study.create(SearchSpace(x=Linear(0, 1)), storage)
    study = Study.create(SearchSpace(x=Linear(0, 1), y=Linear(0, 9)), storage)
    assert study.defaults["y"] == 7
    for wrong in ({"typo": 3}, {"y": "bogus"}, {"y": math.nan}):
        with pytest.raises(ValueError, match="`defaults` must be values of axes of the space"):
            Study.create(SearchSpace(x=Linear(0, 1), y=Linear(0, 9), w=Linear(0, 1)), storage, defaults=wrong)


def test_of_the_values_of_a_new_axis_the_given_one_counts_first_and_the_centre_last():
    old = SearchSpace(x=Linear(0, 1), fixed=3, both=4)
    new = SearchSpace(x=Linear(0, 1), fixed=Linear(0, 10), both=Linear(0, 10), known=Linear(0, 4), other=Linear(0, 2))
    values = changes.earlier_values("study", old, new, {"known": 1.5, "gone": 2}, {"both": 7})
    assert values == {"fixed": 3, "both": 7, "known": 1.5, "other": 1.0, "gone": 2}


def test_each_change_of_a_space_is_a_phrase():
    old = SearchSpace(x=Linear(0, 1), y=Linear(0, 1), fixed=3, constraints=["x <= y"])
    new = SearchSpace(x=Linear(0, 2), fixed=Linear(0, 10), z=Integer(1, 8))
    assert changes.in_words(old, new, {"z": 4}) == [
        "z is new (4 in earlier trials)",
        "fixed is searched",
        "not searched any more: y",
        "x is Linear(0, 2)",
        "constraints are gone",
    ]
    assert changes.in_words(old, old, {}) == []
