"""Optuna's own contract for samplers."""

import pytest
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from neocarbs_jax.adapters.optuna_sampler import NeoCARBSSampler


@pytest.mark.slow
class TestContract(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self):
        return lambda: NeoCARBSSampler(seed=0)
