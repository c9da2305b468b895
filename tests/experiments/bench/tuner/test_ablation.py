"""The variants of the ablation: each is a configuration of its own, and the page has those that are complete."""

import jax.numpy as jnp
import numpy as np
import tinygp

from experiments.bench import harness
from experiments.bench.tuner import ablation
from experiments.bench.tuner.ablation import VARIANTS, RougherKernel, Settings
from neocarbs_jax import SearchSpace, sweep
from neocarbs_jax.space import Linear


def test_every_variant_is_another_configuration():
    space = SearchSpace(x=Linear(0.0, 1.0))
    configs = {v.label: sweep.Config(space, strategy=v.strategy, **v.options) for v in VARIANTS}
    assert len(configs) == len(set(configs.values())) == len(VARIANTS)
    assert configs["default"] == sweep.Config(space)


def test_the_rougher_kernel_is_tinygps_matern_32_beside_the_rest():
    lengthscale, amplitude = jnp.asarray([0.5, 2.0]), jnp.asarray(1.5)
    kernel = RougherKernel(lengthscale, amplitude, jnp.asarray(0.3))
    points = jnp.asarray(np.random.default_rng(0).uniform(size=(6, 2)), jnp.float32)
    matern = tinygp.kernels.Matern32(distance=tinygp.kernels.distance.L2Distance())
    scaled, centred = points / lengthscale[None, :], points - 0.5
    expected = amplitude * matern(scaled, scaled) + 0.3 * centred @ centred.T + 1
    np.testing.assert_allclose(kernel(points, points), expected, rtol=1e-4)  # squares as differences of products


def test_the_page_has_a_row_per_complete_variant():
    settings = Settings(tasks=("rl", "log"), seeds=1, trials=4)
    cell = {"fraction": 0.5, "spend": 0.25, "waste": 0.0}
    cells = {("default", "rl"): cell, ("default", "log"): cell | {"fraction": 0.7}, ("raw front", "rl"): cell}
    text = ablation.markdown(cells, harness.stamp(), settings)
    assert "| default | 0.500 | 0.700 | 0.600 | 0.25 | 0.00 |" in text
    assert "raw front" not in text
