"""What NeoCARBS promises: the cost cap, resampling, targets, the other acquisitions, the rating, its ablations."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import sweep
from neocarbs_jax.beliefs import Beliefs
from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.strategies import NeoCARBS
from neocarbs_jax.strategies.active import ActiveFront
from neocarbs_jax.strategies.base import Situation
from neocarbs_jax.strategies.targets import draw_target

SPACE = SearchSpace(learning_rate=Log(1e-5, 1e-1), width=Linear(0.0, 1.0), steps=Log(1.0, 1e3))
MAX_COST, NUM_TRIALS, NUM_SWEEPS = 100.0, 40, 4


def noiseless(values):
    score = jnp.exp(-((jnp.log10(values["learning_rate"]) + 3) ** 2)) * (1 - jnp.exp(-values["steps"] / 50))
    return score, values["steps"] * (0.5 + values["width"])


def objective(values, key):
    score_key, cost_key = jax.random.split(key)
    score, cost = noiseless(values)
    noise = jnp.exp(0.2 * jax.random.normal(cost_key, dtype=cost.dtype))
    return score + 0.02 * jax.random.normal(score_key, dtype=score.dtype), cost * noise


@pytest.fixture(scope="module")
def capped_sweeps(jit):
    """Four sweeps under a cap that a third of the space's costs break."""
    config = sweep.Config(SPACE, capacity=64, trial_cap=MAX_COST, delta=0.05)
    run = functools.partial(sweep.run, config, objective, num_trials=NUM_TRIALS)
    return jit(jax.vmap(run))(jax.random.split(jax.random.key(0), NUM_SWEEPS))[1]


@pytest.mark.slow
def test_the_cost_cap_is_broken_as_rarely_as_promised(capped_sweeps):
    after_start = np.asarray(capped_sweeps.cost)[:, 4:]
    assert np.mean(after_start > MAX_COST) <= 0.08
    # It is used, not avoided: an idle sweep would keep any promise.
    assert np.mean(after_start > MAX_COST / 3) >= 0.1


@pytest.mark.slow
def test_the_rating_falls_as_the_front_fills_and_is_of_the_size_of_the_gains(capped_sweeps):
    trace = capped_sweeps
    rating = np.asarray(trace.suggestion.rating)[:, 10:]
    units = np.asarray(trace.suggestion.unit)
    score, cost = jax.vmap(jax.vmap(lambda unit: noiseless(SPACE.from_unit(unit))))(jnp.asarray(units))
    pairs = list(zip(np.asarray(score), np.asarray(cost), strict=True))
    area = np.array([[area_of(s[:n], c[:n]) for n in range(10, NUM_TRIALS + 1)] for s, c in pairs])
    gains = np.diff(area, axis=1) / area[:, :-1]
    assert rating[:, -10:].mean() < rating[:, :10].mean()
    # Gains of 120 trials, most of them zero and a few large: their mean is known to a fifth.
    assert rating.mean() == pytest.approx(gains.mean(), rel=0.5)


def area_of(score, cost):
    """Area under the noiseless front over log cost, from 1 to the cap."""
    grid = np.linspace(0, np.log(MAX_COST), 200)
    below = np.log(np.asarray(cost))[None, :] <= grid[:, None]
    return np.where(below, np.asarray(score)[None, :], 0).max(axis=1).mean()


QUICK = NeoCARBS(num_initial=4, num_candidates=64, num_refined=8)


def quick_config(strategy=QUICK, **options):
    return sweep.Config(SPACE, 16, strategy, warp="linear", **options)


def test_every_fifth_suggestion_runs_a_point_of_the_front_again(run):
    trace = run(quick_config(resample_every=5), objective, jax.random.key(1), 16)[1]
    units = np.asarray(trace.suggestion.unit)
    for count in (5, 10, 15):
        earlier = {tuple(unit): i for i, unit in enumerate(units[:count].tolist())}
        again = earlier[tuple(units[count].tolist())]
        # Nothing is better and cheaper by far more than the noise.
        score, cost = np.asarray(trace.score)[:count], np.asarray(trace.cost)[:count]
        assert not np.any((score > score[again] + 0.2) & (cost < cost[again] / 2))
    assert len({tuple(unit) for unit in units.tolist()}) == 16 - 3


@pytest.mark.parametrize(("acquisition", "order"), [("ehvi", 1), ("improvement", 0), ("conservative", -1)])
def test_what_an_acquisition_makes_of_doubt(acquisition, order):
    front = ActiveFront(edges=jnp.array([0.0, 1.0, 2.0]), score=jnp.array([0.1, 0.5]), end=jnp.array(2.0))
    std, zeros = jnp.array([0.1, 1.0]), jnp.zeros(2)
    at = Beliefs(jnp.full(2, 0.6), std, std, jnp.full(2, 0.5), log_cost_std=zeros, log_success=zeros)
    certain, uncertain = NeoCARBS(acquisition=acquisition)._gain(front, at)
    assert np.sign(float(uncertain - certain)) == order


def test_kappa_weighs_doubt_and_the_front_below_is_what_counts():
    front = ActiveFront(edges=jnp.array([0.0, 1.0, 2.0]), score=jnp.array([0.1, 0.5]), end=jnp.array(2.0))
    zeros = jnp.zeros(2)
    at = Beliefs(jnp.full(2, 0.6), jnp.full(2, 0.2), zeros, jnp.array([0.5, 1.5]), zeros, zeros)
    gain = NeoCARBS(acquisition="conservative", kappa=2.0)._gain(front, at)
    np.testing.assert_allclose(gain, [0.6 - 0.4 - 0.1, 0.6 - 0.4 - 0.5], rtol=1e-5)


def targets(front, reachable, num=1000):
    draw = jax.vmap(lambda count: draw_target(front, reachable, count, 0.35))
    return jax.tree.map(np.asarray, draw(jnp.arange(num)))


def test_targets_spread_evenly_over_a_growing_range_and_dwell_on_its_top():
    front = ActiveFront(jnp.linspace(1.0, 3.5, 33), jnp.zeros(32), end=jnp.asarray(3.0))
    target, width = targets(front, jnp.asarray(10.0))
    np.testing.assert_allclose(width, 2.0, rtol=1e-6)
    top = target == target.max()
    assert np.mean(top) == pytest.approx(0.15 / 1.15, abs=0.01)
    shares = np.histogram(target[~top], bins=8, range=(1.0, 3.0))[0] / np.sum(~top)
    # The golden-ratio sequence is even to a few of a thousand.
    np.testing.assert_allclose(shares, 1 / 8, atol=0.01)


def test_targets_are_thrifty_where_the_range_is_all_there_is():
    front = ActiveFront(jnp.linspace(0.0, 5.0, 33), jnp.zeros(32), end=jnp.asarray(5.0))
    target, width = targets(front, jnp.asarray(4.0))
    np.testing.assert_allclose(width, 4.0, rtol=1e-6)
    assert target.max() < 4.0
    # Density exp(-.35 t), t in nats.
    expected = (np.exp(-0.35 * 0.0) - np.exp(-0.35 * 2.0)) / (1 - np.exp(-0.35 * 4.0))
    assert np.mean(target < 2.0) == pytest.approx(expected, abs=0.01)


def test_points_that_may_break_the_cap_come_last_and_the_least_bad_of_them_first():
    zeros, std = jnp.zeros(3), jnp.full(3, 0.5)
    at = Beliefs(zeros, zeros, zeros, jnp.array([0.0, 0.9, 2.0]), std, zeros)
    seen = Situation(SPACE, None, None, jnp.int32(0), log_max_cost=1.0, delta=0.05)
    value = seen.admissible(at, jnp.array([-1.0, 5.0, 9.0]))
    # 1.645 standard deviations above the mean: .82, 1.72, 2.82.
    assert float(value[0]) == -1.0
    np.testing.assert_allclose(value[1:], [-1e6 * (1 + 0.7224), -1e6 * (1 + 1.8224)], rtol=1e-4)
    loose = seen._replace(delta=0.45).admissible(at, jnp.array([-1.0, 5.0, 9.0]))
    np.testing.assert_array_equal(loose[:2], [-1.0, 5.0])
    np.testing.assert_array_equal(seen._replace(log_max_cost=None).admissible(at, zeros), zeros)


def test_caution_draws_a_young_sweep_away_from_faces():
    rule = NeoCARBS(caution=2.0)
    data = sweep.restore(quick_config(), np.full((4, 3), 0.5), np.ones(4), np.ones(4), np.full(4, 2, np.int32))
    seen = Situation(SPACE, data.observations, None, jnp.int32(4))
    units = jnp.array([[0.5, 0.5, 0.5], [0.5, 0.5, 1.0], [0.0, 0.5, 1.0]])
    expected = 2.0 / 4 * np.sum(np.log(0.02 + 4 * units * (1 - units)), axis=1)
    np.testing.assert_allclose(rule._caution(seen, units), expected, rtol=1e-5)


@dataclasses.dataclass(frozen=True)
class Believer(NeoCARBS):
    """Takes measurements for the truth: a lucky seed stays on the front."""

    def observed(self, seen):
        at = super().observed(seen)
        return at._replace(score=seen.known.warp.forward(seen.observations.score))


@pytest.mark.slow
def test_an_ablation_is_a_constructor_or_a_subclass(run):
    """Another rule proposes other points, once the initial design is over."""
    rules = {
        "plain": QUICK,
        "no target": dataclasses.replace(QUICK, target_width=1e3),
        "raw front": Believer(num_candidates=64, num_refined=8),
    }
    assert len({quick_config(rule) for rule in rules.values()}) == 3
    units = {
        name: np.asarray(run(quick_config(rule), objective, jax.random.key(1), 12)[1].suggestion.unit)
        for name, rule in rules.items()
    }
    for name in ("no target", "raw front"):
        np.testing.assert_array_equal(units[name][:4], units["plain"][:4])
        assert not np.array_equal(units[name], units["plain"]), name
