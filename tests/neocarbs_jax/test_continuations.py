"""Suggestions that go on from the checkpoint of an earlier trial, in the pure core."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import continuations, sweep
from neocarbs_jax.space import Choice, Integer, Linear, Log, SearchSpace
from neocarbs_jax.strategies import NeoCARBS, Situation
from neocarbs_jax.strategies.targets import within_budget
from neocarbs_jax.sweep import Status

SPACE = SearchSpace(rate=Log(1e-4, 1e-1), steps=Log(10, 1000), layers=Integer(1, 8))
CONFIG = sweep.Config(SPACE, capacity=32, budget="steps", continues=True, strategy=NeoCARBS(num_initial=4))
COLUMN = SPACE.slices["steps"].start


def seen(*trials, config=CONFIG):
    """The state after trials (unit point, score, cost, checkpoint)."""
    unit, score, cost, checkpoint = zip(*trials, strict=True)
    status = [int(Status.SUCCESS)] * len(trials)
    return sweep.restore(config, unit, score, cost, status, checkpoint=checkpoint)


def with_budget(unit, budget):
    moved = np.array(unit, float)
    moved[COLUMN] = budget
    return moved


LIKELY = jnp.zeros(CONFIG.capacity, bool)
POINT = SPACE.snap(np.array([0.3, 0.2, 0.55]))


def test_a_point_extends_the_row_that_equals_it_but_for_a_smaller_budget():
    data = seen((POINT, 1.0, 10.0, 8.0), (with_budget(POINT, 0.6), 2.0, 60.0, 50.0)).observations
    other = np.array([0.4, 0.9, POINT[2]])
    points = np.stack([with_budget(POINT, 0.4), with_budget(POINT, 0.9), with_budget(POINT, 0.1), POINT, other])
    row, saved = continuations.parents_of(data, COLUMN, jnp.asarray(points, data.unit.dtype))
    np.testing.assert_array_equal(saved, [8.0, 50.0, 0.0, 0.0, 0.0])  # the furthest checkpoint of those below
    assert row[:2].tolist() == [0, 1]


def test_only_completed_rows_with_a_checkpoint_are_extended():
    state = seen((POINT, 1.0, 10.0, 0.0))
    longer = jnp.asarray(with_budget(POINT, 0.9), state.observations.unit.dtype)
    assert continuations.parents_of(state.observations, COLUMN, longer[None]).saved[0] == 0
    failed = sweep.restore(CONFIG, POINT[None], [np.nan], [10.0], [int(Status.FAILED)], checkpoint=[8.0])
    assert continuations.parents_of(failed.observations, COLUMN, longer[None]).saved[0] == 0


def test_drawn_continuations_are_longer_trainings_of_rows_to_the_last_bit():
    data = seen((POINT, 1.0, 10.0, 8.0), (np.array([0.9, 0.5, 0.0]), 0.5, 30.0, 0.0)).observations
    drawn = continuations.draw(SPACE, data, COLUMN, LIKELY, jax.random.key(0), 64)
    saved = continuations.parents_of(data, COLUMN, drawn).saved
    assert (saved == 8.0).all()
    others = np.delete(np.asarray(drawn), COLUMN, axis=1)
    assert (others == np.delete(np.asarray(data.unit[0]), COLUMN)).all()
    assert drawn[:, COLUMN].min() > POINT[COLUMN]
    assert drawn[:, COLUMN].max() <= 1


def test_half_of_what_is_drawn_is_of_likely_rows():
    points = [with_budget(np.append(x, POINT[1:]), 0.3) for x in np.linspace(0, 1, 8)]
    data = seen(*((point, 1.0, 10.0, 8.0) for point in points)).observations
    drawn = continuations.draw(SPACE, data, COLUMN, LIKELY.at[3].set(True), jax.random.key(0), 512)
    share = (drawn[:, 0] == data.unit[3, 0]).mean()
    np.testing.assert_allclose(share, 0.5 + 0.5 / 8, atol=0.08)  # four deviations of a binomial


def test_without_a_checkpoint_nothing_drawn_has_a_parent():
    data = seen((POINT, 1.0, 10.0, 0.0)).observations
    drawn = continuations.draw(SPACE, data, COLUMN, LIKELY, jax.random.key(0), 8)
    assert (continuations.parents_of(data, COLUMN, drawn).saved == 0).all()


def test_a_row_beyond_the_bounds_is_not_extended():
    data = seen((np.array([1.2, 0.2, 0.0]), 1.0, 10.0, 8.0)).observations
    drawn = continuations.draw(SPACE, data, COLUMN, LIKELY, jax.random.key(0), 8)
    assert (continuations.parents_of(data, COLUMN, drawn).saved == 0).all()


def test_the_share_that_is_paid_is_what_the_checkpoint_does_not_hold():
    log_cost = jnp.log(jnp.array([100.0, 100.0, 100.0]))
    share = continuations.share(log_cost, jnp.array([0.0, 40.0, 110.0]))
    np.testing.assert_allclose(share, [1.0, 0.6, 0.0], rtol=1e-6)
    paid = continuations.paid(jnp.array([100.0, 100.0, 100.0]), jnp.array([0.0, 40.0, 90.0]))
    np.testing.assert_allclose(paid, [100.0, 60.0, 30.0], rtol=1e-6)


def objective(values, key):
    del key
    miss = jnp.log10(values["rate"]) + 2.5
    score = 1 - 2 / jnp.sqrt(values["steps"]) - miss**2 - 0.01 * (values["layers"].astype(float) - 3) ** 2
    return score, values["steps"].astype(float)


def sweep_of(config, key, num_trials, checkpoint=0.85):
    """A whole sweep; also what each trial paid, and its parent."""

    def step(state, key):
        state, suggestion = sweep.suggest(config, state, key)
        score, cost = objective(suggestion.values, key)
        state = sweep.observe(config, state, suggestion, score, cost, checkpoint=checkpoint * cost)
        return state, (suggestion, cost)

    return jax.lax.scan(step, sweep.init(config), jax.random.split(key, num_trials))


@pytest.fixture(scope="module")
def swept(jit):
    run = jit(lambda key: sweep_of(CONFIG, key, 24))
    return run(jax.random.key(0))


def test_a_sweep_goes_on_from_earlier_trials_and_pays_the_difference(swept):
    state, (suggestion, cost) = swept
    parent = np.asarray(suggestion.parent)
    went_on = parent >= 0
    assert went_on.sum() >= 3
    units, data = np.asarray(suggestion.unit), state.observations
    np.testing.assert_array_equal(
        np.delete(units[went_on], COLUMN, axis=1), np.delete(units[parent[went_on]], COLUMN, axis=1)
    )
    assert (units[went_on, COLUMN] > units[parent[went_on], COLUMN]).all()
    np.testing.assert_allclose(suggestion.inherited[went_on], 0.85 * np.asarray(cost)[parent[went_on]], rtol=1e-5)
    assert (np.asarray(suggestion.inherited)[~went_on] == 0).all()
    assert (np.asarray(suggestion.inherited) < np.asarray(cost)).all()
    np.testing.assert_allclose(data.cost[:24], cost)  # the place on the front is at the whole cost


def test_a_line_of_trainings_shares_its_luck(swept):
    state, (suggestion, _) = swept
    run = np.asarray(state.observations.run[:24])
    for row, parent in enumerate(np.asarray(suggestion.parent)):
        assert run[row] == (run[parent] if parent >= 0 else row)


@pytest.mark.slow  # twelve seconds
def test_vmap_gives_what_single_sweeps_give(jit, swept):
    _, (suggestion, _) = swept
    keys = jnp.stack([jax.random.key(0), jax.random.key(1)])
    _, (both, _) = jit(jax.vmap(lambda key: sweep_of(CONFIG, key, 24)))(keys)
    same = slice(8)  # later on rounding may decide otherwise
    assert (suggestion.parent[same] >= 0).any()
    np.testing.assert_array_equal(both.parent[0, same], suggestion.parent[same])
    assert (both.parent >= 0).sum(axis=1).min() >= 3


def test_nothing_compiles_again_when_trials_go_on(jit):
    suggest, state = jit(sweep.suggest, static_argnums=0), sweep.init(CONFIG)
    parents = []
    for number in range(12):
        state, suggestion = suggest(CONFIG, state, jax.random.key(number))
        parents.append(int(suggestion.parent))
        score, cost = objective(suggestion.values, None)
        state = sweep.observe(CONFIG, state, suggestion, score, cost, checkpoint=0.85 * cost)
    assert max(parents) >= 0
    assert suggest._cache_size() == 1


def test_without_checkpoints_a_sweep_that_may_continue_suggests_what_it_would(jit):
    plain = dataclasses.replace(CONFIG, continues=False)
    with_option, without = (
        jit(lambda key, c=c: sweep_of(c, key, 12, checkpoint=0.0))(jax.random.key(3)) for c in (CONFIG, plain)
    )
    np.testing.assert_array_equal(with_option[1][0].unit, without[1][0].unit)
    assert (np.asarray(without[1][0].parent) == -1).all()


def test_a_curve_of_a_continued_training_joins_its_line(jit):
    del jit
    state = seen((POINT, 1.0, 10.0, 8.0))
    state, suggestion = sweep.enqueue(CONFIG, state, jnp.asarray(with_budget(POINT, 0.9), float))
    assert suggestion.parent == 0
    assert suggestion.inherited == 8.0
    budgets = jnp.array([300.0, 600.0])
    state = sweep.observe_curve(CONFIG, state, suggestion, budgets, budgets / 1e3, budgets, checkpoint=500.0)
    assert state.observations.run[:3].tolist() == [0, 0, 0]
    assert sorted(state.observations.checkpoint[:3].tolist()) == [0.0, 8.0, 500.0]
    assert state.observations.inherited[:3].tolist() == [0.0, 8.0, 300.0]


def test_a_replicate_of_a_continuation_starts_afresh(jit):
    del jit
    longer = jnp.asarray(with_budget(POINT, 0.9), float)
    state, first = sweep.enqueue(CONFIG, seen((POINT, 1.0, 10.0, 8.0)), longer)
    for _ in range(2):  # beside a pending row, and beside one that has ended
        state, again = sweep.enqueue(CONFIG, state, longer)
        assert (first.parent, again.parent, again.inherited) == (0, -1, 0.0)
        assert state.observations.run[again.index] == again.index
        state = sweep.observe(CONFIG, state, first, 2.0, 500.0)


def test_what_another_row_has_paid_is_not_spent_again():
    def highest(cost, inherited):
        n = len(cost)
        data = sweep.restore(
            CONFIG, np.tile(POINT, (n, 1)), np.ones(n), cost, [int(Status.SUCCESS)] * n, inherited=inherited
        ).observations
        seen = Situation(SPACE, data, None, jnp.int32(n), None, jnp.log(100.0))
        return float(within_budget(seen, SimpleNamespace(end=jnp.asarray(5.0)), jnp.asarray(9.0)))

    assert highest([10.0, 15.0], [0.0, 9.0]) == highest([10.0, 6.0], None) < highest([10.0, 15.0], None)


def test_what_running_trials_still_pay_is_without_what_their_own_parents_paid(jit):
    del jit
    state = seen((POINT, 1.0, 10.0, 8.0), (with_budget(POINT, 0.3), 1.5, 12.0, 0.0))
    state, _ = sweep.enqueue(CONFIG, state, jnp.asarray(with_budget(POINT, 0.4), float))
    left = sweep._situation(CONFIG, state, 100.0).log_remaining
    data = state.observations
    gone = state._replace(observations=data._replace(checkpoint=jnp.zeros_like(data.checkpoint)))
    assert sweep._situation(CONFIG, gone, 100.0).log_remaining == left  # as it was when the trial began
    afresh = state._replace(observations=data._replace(inherited=jnp.zeros_like(data.inherited)))
    assert sweep._situation(CONFIG, afresh, 100.0).log_remaining < left


@pytest.mark.parametrize(("cap", "holds"), [(30.0, True), (None, False)])
def test_a_cap_on_trials_is_on_what_continuations_pay(jit, cap, holds):
    """Twelve known trials teach what steps cost; without the cap, the twelve that follow pay more."""
    config = dataclasses.replace(CONFIG, trial_cap=cap)
    units = [SPACE.snap(unit) for unit in np.random.default_rng(0).random((12, SPACE.size))]
    found = [objective({k: jnp.asarray(x) for k, x in SPACE.from_unit(unit).items()}, None) for unit in units]
    known = [
        (unit, float(score), float(cost), 0.85 * float(cost)) for unit, (score, cost) in zip(units, found, strict=True)
    ]
    start = seen(*known, config=config)._replace(count=jnp.int32(12))

    def step(state, key):
        state, suggestion = sweep.suggest(config, state, key)
        score, cost = objective(suggestion.values, key)
        return sweep.observe(config, state, suggestion, score, cost, checkpoint=0.85 * cost), (suggestion, cost)

    run = jit(lambda state: jax.lax.scan(step, state, jax.random.split(jax.random.key(0), 12))[1])
    suggestion, cost = run(start)
    paid = np.asarray(cost) - np.asarray(suggestion.inherited)
    assert (suggestion.parent >= 0).any()
    assert (paid.max() <= 30.0) == holds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"continues": True}, "`budget` must name an axis where `continues` is given; got None."),
        (
            {"continues": True, "budget": "steps", "strategy": "random"},
            "`strategy` must be one that continues trials, neocarbs; got random.",
        ),
        ({"continues": 0.5, "budget": "steps"}, "`continues` must be True or False; got 0.5."),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        sweep.Config(SPACE, **options)


def test_constraints_hold_for_continuations(jit):
    space = SearchSpace(
        steps=Log(10, 1000), x=Linear(0, 1), kind=Choice(["a", "b"]), constraints=[lambda v: v["steps"] * v["x"] < 200]
    )
    config = sweep.Config(space, capacity=16, budget="steps", continues=True)

    def step(state, key):
        state, suggestion = sweep.suggest(config, state, key)
        score = jnp.log(suggestion.values["steps"]) - (suggestion.values["x"] - 0.5) ** 2
        cost = suggestion.values["steps"]
        return sweep.observe(config, state, suggestion, score, cost, checkpoint=cost), suggestion

    _, suggestion = jit(lambda key: jax.lax.scan(step, sweep.init(config), jax.random.split(key, 14)))(
        jax.random.key(0)
    )
    assert (suggestion.values["steps"] * suggestion.values["x"] < 200.001).all()
    assert (suggestion.parent >= 0).any()
