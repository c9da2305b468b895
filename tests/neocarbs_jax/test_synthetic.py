"""Synthetic tasks: definitions against a second derivation in NumPy, fronts against search, hypervolume by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import synthetic
from neocarbs_jax.synthetic import Front, hypervolume_fraction

NAMES = list(synthetic.TASKS)


def random_units(task: synthetic.Task, num: int, seed: int = 0) -> jax.Array:
    return jax.random.uniform(jax.random.key(seed), (num, task.space.size))


@pytest.fixture(scope="module")
def noiseless(jit) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scores and costs of 4096 random points of every task."""

    def evaluate(task: synthetic.Task):
        return jit(jax.vmap(lambda unit: task.noiseless(task.space.from_unit(unit))))(random_units(task, 4096))

    return {name: tuple(np.asarray(a) for a in evaluate(synthetic.make(name))) for name in NAMES}


def numpy_rl(v: dict, hardness: float) -> tuple[float, float]:
    """The `rl` task written from its definition, in decades."""
    log = np.log10
    gap = log(v["learning_rate"]) - (-3 + 0.35 * (log(v["minibatch"]) - log(4096)) - 0.15 * (v["epochs"] - 3))
    e = (gap / 0.7) ** 2 + ((log(1 - v["gamma"]) + 2.2) / 0.8) ** 2 + ((log(1 - v["gae_lambda"]) + 1.1) / 1.2) ** 2
    e += ((log(v["entropy"]) + 2.6) / 1.5) ** 2 + ((v["value_coef"] - 2) / 4) ** 2 + ((v["clip"] - 0.2) / 0.3) ** 2
    e += ((v["max_grad_norm"] - 1.2) / 4) ** 2 + ((log(v["num_envs"]) - 3.2) / 1.2) ** 2
    efficiency = np.exp(-e / 2) * v["epochs"] ** 0.45 / (1 + 0.02 * (v["epochs"] - 3) ** 2)
    throughput = 2.5e6 / (0.35 + 0.22 * v["epochs"]) * (v["minibatch"] / 8192) ** 0.15
    throughput *= min(1.2, (v["num_envs"] / 2048) ** 0.25)
    score = np.exp(-0.06 * e) * (1 - np.exp(-v["total_steps"] * efficiency / hardness))
    return score * (0.05 if gap > 1.3 else 1.0), v["total_steps"] / throughput


@pytest.mark.parametrize(("name", "hardness"), [("rl", 2e8), ("rl_hard", 2e9)])
def test_rl_equals_its_definition_in_numpy(name, hardness, noiseless):
    task = synthetic.make(name)
    units = np.asarray(random_units(task, 4096), np.float64)
    for row in range(0, 4096, 128):
        score, cost = numpy_rl(task.space.from_unit(units[row]), hardness)
        # float32 against float64: 1 - gamma cancels four digits
        np.testing.assert_allclose(noiseless[name][0][row], score, rtol=5e-3, atol=1e-6)
        np.testing.assert_allclose(noiseless[name][1][row], cost, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "score_fn"),
    [
        ("time", lambda s, c: np.log(c / 0.2) / np.log(1000)),
        ("linear", lambda s, c: s * c / 200),
        ("log", lambda s, c: s * np.log10(max(c, 1))),
        ("percentile", lambda s, c: s / (1 + np.exp(-np.clip(0.84 * c, 1, 200) / 10))),
        ("cutoff", lambda s, c: s * min(2, np.log10(c))),
    ],
)
def test_simple_tasks_equal_their_definitions_in_numpy(name, score_fn, noiseless):
    task = synthetic.make(name)
    units = np.asarray(random_units(task, 4096), np.float64)
    for row in range(0, 4096, 128):
        values = task.space.from_unit(units[row])
        quality = np.exp(-((np.log10(values["learning_rate"]) + 3) ** 2))
        expected = score_fn(quality, values["total_steps"] / 5e7)
        np.testing.assert_allclose(noiseless[name][0][row], expected, rtol=1e-3, atol=1e-5)  # float32 of log ratios


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_point_lies_above_the_front(name, noiseless):
    front = synthetic.make(name).front()
    score, cost = noiseless[name]
    attainable = np.interp(np.log(cost), np.log(front.cost), front.score)
    beyond = cost > front.cost[-1] * (1 + 1e-6)  # costlier than what matters
    excess = np.where(np.isnan(score) | beyond, -1.0, score - attainable)
    assert excess.max() < 2e-3  # the front is interpolated between 1024 costs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cutoff", "rl_hard", "ridge"])  # one of each family
def test_front_is_reached_by_points_of_the_space(name, jit):
    """A local search from random points comes within 5% of the front's hypervolume, so the front is not too high."""
    task = synthetic.make(name)
    front = task.front()
    evaluate = jax.vmap(lambda unit: task.noiseless(task.space.from_unit(unit)))
    edges = jnp.linspace(jnp.log(front.cost[0]), jnp.log(front.cost[-1]), 96)

    def generation(units, key):
        parent_key, step_key, scale_key, axis_key = jax.random.split(key, 4)
        base = units[jax.random.randint(parent_key, (1024,), 0, len(units))]
        scale = 10 ** jax.random.uniform(scale_key, (1024, 1), float, -2.5, -0.5)
        moved = jax.random.uniform(axis_key, base.shape) < 0.4
        step = jnp.where(moved, scale * jax.random.normal(step_key, base.shape), 0.0)
        pool = jnp.concatenate([units, jnp.clip(base + step, 0, 1)])
        score, cost = evaluate(pool)
        affordable = jnp.log(cost)[None, :] <= edges[:, None] + 0.01
        best = jnp.argmax(jnp.where(affordable, jnp.nan_to_num(score, nan=-1.0)[None, :], -jnp.inf), axis=1)
        return pool[best], None

    search = jit(lambda units, keys: jax.lax.scan(generation, units, keys)[0])
    units = search(random_units(task, 96, seed=1), jax.random.split(jax.random.key(2), 50))
    reached = jit(lambda units: hypervolume_fraction(*evaluate(units), front, task.floor))(units)[-1]
    assert 0.95 < reached < 1 + 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_noise_is_centred_on_the_noiseless_outcome(name, jit):
    task = synthetic.make(name)
    values = task.space.from_unit(jnp.full(task.space.size, 0.5))
    score, cost = task.noiseless(values)
    scores, costs = jit(jax.vmap(lambda key: task(values, key)))(jax.random.split(jax.random.key(0), 4096))
    spread = float(jnp.std(scores)) / 64 + 1e-6
    # percentile and log are curved in their noisy cost: the mean moves by a few percent of the score
    assert abs(float(jnp.mean(scores)) - float(score)) < 4 * spread + 0.02 * abs(float(score))
    assert float(jnp.mean(costs)) == pytest.approx(float(cost), rel=0.02)


def test_only_diverging_fails_and_only_there(jit):
    task = synthetic.make("diverging")
    units = random_units(task, 512)
    evaluate = jit(jax.vmap(lambda unit: task(task.space.from_unit(unit), jax.random.key(0))))
    score, cost = evaluate(units)
    calm, _ = jit(jax.vmap(lambda unit: synthetic.make("rl").noiseless(task.space.from_unit(unit))))(units)
    failed = np.isnan(score)
    assert 0.1 < failed.mean() < 0.4
    assert np.asarray(calm)[failed].max() <= 0.05
    assert np.isfinite(cost).all()


def test_heteroscedastic_is_noisier_above_gradient_norm_2_5():
    task = synthetic.make("heteroscedastic")
    values = task.space.from_unit(jnp.full(task.space.size, 0.5)) | {"max_grad_norm": jnp.asarray(1.2)}
    keys = jax.random.split(jax.random.key(0), 512)
    quiet = jnp.std(jax.vmap(lambda key: task(values, key)[0])(keys))
    loud = jnp.std(jax.vmap(lambda key: task(values | {"max_grad_norm": jnp.asarray(4.0)}, key)[0])(keys))
    assert loud > 8 * quiet


def test_unknown_name_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"`name` must be one of time, linear.*got 'sphere'"):
        synthetic.make("sphere")


class TestHypervolumeFraction:
    front = Front(jnp.exp(jnp.linspace(0.0, 4.0, 401)), jnp.ones(401))  # height 1 over 4 nats

    def test_by_hand(self):
        score, cost = jnp.asarray([0.5, 1.0, 0.2]), jnp.exp(jnp.asarray([1.0, 3.0, 0.0]))
        got = hypervolume_fraction(score, cost, self.front)
        # .5 over [1, 4]; then 1 over [3, 4]; then .2 over [0, 1]
        np.testing.assert_allclose(got, [1.5 / 4, 2.0 / 4, 2.2 / 4], rtol=1e-5)

    def test_floor_and_failures_count_nothing(self):
        score, cost = jnp.asarray([jnp.nan, 0.3, 0.7]), jnp.ones(3)
        got = hypervolume_fraction(score, cost, self.front, floor=0.4)
        np.testing.assert_allclose(got, [0.0, 0.0, 0.3 / 0.6], rtol=1e-5)

    def test_outside_the_front_cheaper_counts_from_its_start_and_costlier_not_at_all(self):
        got = hypervolume_fraction(jnp.asarray([0.5, 1.0]), jnp.exp(jnp.asarray([-2.0, 5.0])), self.front)
        np.testing.assert_allclose(got, [0.5, 0.5], rtol=1e-5)

    def test_vmap_equals_loop_and_more_trials_never_hurt(self):
        score = jax.random.uniform(jax.random.key(0), (4, 30))
        cost = jnp.exp(4 * jax.random.uniform(jax.random.key(1), (4, 30)))
        together = jax.vmap(hypervolume_fraction, (0, 0, None))(score, cost, self.front)
        alone = np.stack([hypervolume_fraction(s, c, self.front) for s, c in zip(score, cost, strict=True)])
        np.testing.assert_allclose(together, alone, rtol=1e-6)
        assert (np.diff(alone, axis=1) >= -1e-6).all()
