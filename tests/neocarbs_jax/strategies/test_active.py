"""The active range of cost, the front over it and the rating, against NumPy on fronts made by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from neocarbs_jax import beliefs, sweep
from neocarbs_jax.acquisition import log_expected_hypervolume_improvement
from neocarbs_jax.space import Linear, SearchSpace
from neocarbs_jax.strategies.active import ActiveRange, active_front, rate
from neocarbs_jax.sweep import Status

SPACE = SearchSpace(x=Linear(0, 1))
CONFIG = sweep.Config(SPACE, capacity=6, warp="linear")


@pytest.fixture(scope="module")
def situation(jit):
    """Scores and log costs -> observations, surrogates of them, and beliefs that are the measurements themselves."""
    condition = jit(lambda state: beliefs.condition(CONFIG.form, state.observations, state.fit))
    return functools.partial(make_situation, condition)


@pytest.fixture(scope="module")
def front_of(jit):
    return jit(active_front, static_argnums=0)


def make_situation(condition, score, log_cost, config=CONFIG):
    num = len(score)
    unit = np.linspace(0, 1, num)[:, None]
    state = sweep.restore(config, unit, score, np.exp(log_cost), np.full(num, int(Status.SUCCESS), np.int32))
    known = condition(state)
    zeros = jnp.zeros(config.capacity)
    warped = known.warp.forward(jnp.asarray(state.observations.score))
    log_cost = jnp.log(jnp.asarray(state.observations.cost))
    return state.observations, known, beliefs.Beliefs(warped, zeros, zeros, log_cost, zeros, zeros)


def in_users_units(known, score):
    return known.warp.inverse(score)


def test_the_range_ends_at_the_knee_and_what_it_may_grow_by(situation, front_of):
    observations, known, believed = situation([0.0, 0.5, 0.9, 0.99, 1.0], [0.0, 1.0, 2.0, 3.0, 4.0])
    # Within 2% of the best score from log cost 3 on; the front rises from its second point.
    front = front_of(ActiveRange(knee=0.02, growth=0.25, reach=0.5), observations, known, believed)
    assert float(front.end) == pytest.approx(3.25, rel=1e-5)
    assert float(front.edges[-1]) == pytest.approx(3.75, rel=1e-5)
    assert float(front.edges[0]) == pytest.approx(0.0, abs=1e-5)  # the dearest point before the rise
    early = front_of(ActiveRange(knee=0.15, growth=0.25, reach=0.5), observations, known, believed)
    assert float(early.end) == pytest.approx(2.25, rel=1e-5)


def height_at(front, log_cost):
    """Score of a front in the strip that a log cost lies in."""
    strip = np.searchsorted(np.asarray(front.edges), log_cost) - 1
    return np.asarray(front.score)[np.clip(strip, 0, len(front.score) - 1)]


def test_the_front_is_the_staircase_over_the_range(situation, front_of):
    scores, log_costs = np.array([0.1, 0.0, 0.5, 0.3, 1.0]), np.array([0.0, 0.5, 1.0, 2.0, 3.0])
    observations, known, believed = situation(scores, log_costs)
    front = front_of(ActiveRange(), observations, known, believed)
    at = np.array([0.01, 0.3, 0.99, 1.01, 2.5, 2.99, 3.01, 4.5, 9.0])
    expected = [max([0.0, *scores[log_costs <= log_cost]]) for log_cost in at]
    np.testing.assert_allclose(in_users_units(known, height_at(front, at)), expected, atol=1e-5)


def test_what_costs_a_little_less_than_a_front_point_gains_only_that_little(situation, front_of):
    observations, known, believed = situation([0.5, 1.0], [2.0, 3.0])
    front = front_of(ActiveRange(), observations, known, believed, np.inf, 1.999)
    score = known.warp.forward(jnp.array([0.5, 1.0]))
    little, much = 0.001, 0.2
    gain = np.exp(
        log_expected_hypervolume_improvement(
            jnp.tile(score, 2), jnp.full(4, 1e-4), jnp.array([2 - little, 3 - little, 2 - much, 3 - much]),
            front.edges, front.score,
        )
    )  # fmt: skip
    rise = float(score[1] - score[0])
    assert gain[1] == pytest.approx(little * rise, rel=0.2)
    assert gain[3] == pytest.approx(much * rise, rel=0.02)
    assert gain[0] < 0.01 * gain[3]


def test_of_many_steps_the_largest_are_kept(jit):
    config = sweep.Config(SearchSpace(x=Linear(0, 1)), capacity=80)
    number = np.arange(80)
    scores = np.where(number % 4 == 3, number * 0.01, number // 4 * 0.04 + number % 4 * 1e-5)  # three steps are tiny
    log_costs = np.linspace(0, 4, 80)
    observations, known, believed = make_situation(
        jit(lambda state: beliefs.condition(config.form, state.observations, state.fit)), scores, log_costs, config
    )
    front = jit(active_front, static_argnums=0)(ActiveRange(), observations, known, believed)
    assert len(front.score) < 80
    found = in_users_units(known, height_at(front, log_costs[10:] + 0.01))
    np.testing.assert_allclose(found, np.maximum.accumulate(scores)[10:], atol=3e-4)


def test_a_front_whose_cheapest_point_is_good_grows_downwards(situation, front_of):
    observations, known, believed = situation([0.9, 1.0, 0.0], [2.0, 3.0, 4.0])
    rule = ActiveRange(growth=0.5)
    assert float(front_of(rule, observations, known, believed, np.inf, 0.0).edges[0]) == pytest.approx(1.5)
    assert float(front_of(rule, observations, known, believed, np.inf, 1.8).edges[0]) == pytest.approx(1.8)


def test_what_no_candidate_can_reach_is_outside_the_range(situation, front_of):
    observations, known, believed = situation([0.0, 0.5, 1.0], [0.0, 1.0, 2.0])
    front = front_of(ActiveRange(), observations, known, believed, 2.2)
    assert float(front.edges[-1]) == pytest.approx(2.3, rel=1e-5)
    assert float(front.end) == pytest.approx(3.0, rel=1e-5)


def test_without_a_success_there_is_a_range_all_the_same(situation, front_of):
    observations, known, believed = situation([0.0, 0.5], [0.0, 1.0])
    nothing = observations._replace(status=np.full(CONFIG.capacity, int(Status.FAILED), np.int32))
    front = front_of(ActiveRange(), nothing, known, believed)
    assert np.isfinite(front.edges).all()
    assert np.all(np.diff(front.edges) >= 0)
    assert front.edges[-1] > front.edges[0]
    np.testing.assert_array_equal(front.score, 0)
    assert float(rate(ActiveRange(), nothing, known, known.at(jnp.full((1, 1), 0.5)))) == 1


def test_the_rating_is_the_expected_gain_over_the_hypervolume(situation, front_of, jit):
    """Strip by strip, with the normal's own formula for E[max(y - f, 0)]; a linear warp leaves scores normal."""
    with jax.enable_x64(True):
        observations, known, _ = situation([0.0, 0.5, 1.0], [0.0, 1.0, 2.0])
        believed = known.at_observed()
        front = front_of(ActiveRange(), observations, known, believed)
        edges, height = np.asarray(front.edges), np.asarray(known.plain(front.score))
        worst = float(known.plain(jnp.min(believed.score[:3])))
        rated = jit(lambda known, unit: (known.at(unit), rate(ActiveRange(), observations, known, known.at(unit))))
        for x in (0.05, 0.4, 0.95):
            at, rating = rated(known, jnp.full((1, 1), x))
            ends = known.plain(jnp.stack([at.score[0], at.score[0] + at.score_std[0]]))
            mean, std = float(ends[0]), float(ends[1] - ends[0])
            z = (mean - height) / std
            improvement = std * (stats.norm.pdf(z) + z * stats.norm.cdf(z))
            width = np.maximum(edges[1:] - np.maximum(edges[:-1], float(at.log_cost[0])), 0)
            expected = width @ improvement / (np.diff(edges) @ (height - worst))
            # Twelve nodes of a quadrature of a function with a kink.
            assert float(rating) == pytest.approx(expected, rel=0.05)
