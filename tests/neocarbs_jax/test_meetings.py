"""Where parts meet: axes under conditions, ordered options, minimised scores and equal costs, in each door."""

import tomllib

import optuna
import pytest

from neocarbs_jax import Choice, Linear, Ordinal, SearchSpace, Study
from neocarbs_jax.dashboard import filters, layout
from neocarbs_jax.optuna_sampler import NeoCARBSSampler
from neocarbs_jax.report.formats import formatted
from neocarbs_jax.report.plots import parallel
from neocarbs_jax.report.plots.snapshot import Snapshot
from neocarbs_jax.report.summary import advice
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.trials import Trial

BRANCHES = SearchSpace(o=Choice(("a", "b")), m=Linear(0, 1, when={"o": "b"}), x=Linear(0, 1))


def create(tmp_path, space, name="s", **options):
    return Study.create(space, f"sqlite:///{tmp_path}/a.db", name=name, compilation_cache=False, **options)


def test_advice_on_trials_of_one_cost_that_rounding_moved():
    trial = Trial(0, {}, "completed", 1.0, 9.0)
    [sentence] = advice([ExpectedPoint(trial, {}, 9.000000000000002, 1.0, 0.9, 1.1)])
    assert sentence.startswith("With a cost of up to 9, take the settings of trial 0")


def test_a_filter_of_ordered_options_offers_them_and_an_absent_value_is_none_of_them():
    inputs = layout.filters(SearchSpace(k=Ordinal((16, 32, 64)), x=Linear(0, 1)), {})
    assert all(f"'{option}'" in str(inputs) for option in (16, 32, 64))
    bound = filters.Bound("values.c", options=frozenset({"None"}))
    assert bound.admits(Trial(0, {"c": None}, "completed"))
    assert not bound.admits(Trial(0, {}, "completed"))


def test_a_sampler_leaves_the_direction_to_optunas_study():
    with pytest.raises(ValueError, match="`direction` must be left out"):
        NeoCARBSSampler(direction="minimize")


def test_a_sampler_refuses_to_continue_trials():
    with pytest.raises(ValueError, match="`continues` must be left out"):
        NeoCARBSSampler(SearchSpace(x=Linear(0, 1)), budget="x", continues=True)


def test_trials_from_before_a_condition_went_are_kept_with_the_default(tmp_path):
    study = create(tmp_path, BRANCHES)
    study.add({"o": "a", "x": 0.5}, score=1.0, cost=1.0)
    with pytest.warns(UserWarning, match="goes on with its trials over another space"):
        study = create(
            tmp_path, SearchSpace(o=Choice(("a", "b")), m=Linear(0, 1), x=Linear(0, 1)), defaults={"m": 0.25}
        )
    assert study.defaults["m"] == 0.25
    assert study.ask()[0].values.keys() == {"o", "m", "x"}


def test_a_queued_trial_is_completed_near_a_suggestion_beyond_the_bounds(tmp_path):
    study = create(tmp_path, BRANCHES, resample_every=1)
    for i in range(8):
        study.add({"o": "b", "m": 1.2 + 0.05 * i, "x": 0.5}, score=float(i), cost=1.0 + i)
    study.enqueue({"x": 0.25})
    assert study.ask()[0].values["x"] == 0.25


def test_a_constraint_may_be_one_text_and_one_on_an_axis_that_never_is_active_holds():
    space = SearchSpace(a=Linear(0, 1), b=Linear(0, 1), constraints="a <= b")
    assert len(space.constraints) == 1
    space = SearchSpace(o="adam", m=Linear(0, 1, when={"o": "sgd"}), b=Linear(0, 1), constraints=["m <= b", "b > 0.1"])
    assert [str(constraint.text) for constraint in space.constraints] == ["b > 0.1"]
    with pytest.raises(ValueError, match="`constraints` must be"):
        SearchSpace(b=Linear(0, 1), constraints=["1/0 <= b"])


def test_numbers_of_a_conditional_axis_stay_numbers_in_parallel_coordinates():
    done = [Trial(i, {"o": "b", "m": i / 10, "x": 0.5}, "completed", float(i), 1.0 + i) for i in range(10)]
    done.append(Trial(10, {"o": "a", "x": 0.5}, "completed", 1.0, 1.0))
    [drawn] = parallel(Snapshot("a", done, [], {"o": False, "m": False, "x": False}, BRANCHES)).data
    m = drawn.dimensions[1]
    assert list(m["values"])[:10] == [i / 10 for i in range(10)]
    assert (m["ticktext"][0], list(m["values"])[10]) == ("-", m["tickvals"][0])


def test_printed_toml_can_be_read():
    values = {"a": '😀 "quoted"', "b": float("inf"), "c.d": 0.5, "e": True}
    assert tomllib.loads(formatted(values, "toml")) == values


def test_optunas_direction_is_followed():
    study = optuna.create_study(direction="minimize", sampler=NeoCARBSSampler(SearchSpace(x=Linear(0, 1)), seed=0))
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1) - 0.2) ** 2, n_trials=12)
    assert study.best_params["x"] == pytest.approx(0.2, abs=0.1)
