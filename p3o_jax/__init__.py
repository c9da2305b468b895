"""P3O: policy gradients with a multi-horizon Gaussian value head, for any environment of the gymnax contract."""

from p3o_jax.devices import over_devices
from p3o_jax.estimators import GAE, P3O, Banded, Original
from p3o_jax.evaluate import Evaluation, evaluate
from p3o_jax.learner import State, init, num_total_updates, steps_per_update, update
from p3o_jax.metrics import Metrics
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import Config, Params
from p3o_jax.train import Callback, advance, make_train
from p3o_jax.vector import VectorEnvironment

__all__ = [
    "GAE",
    "P3O",
    "Banded",
    "Callback",
    "Config",
    "Evaluation",
    "Metrics",
    "NetworkConfig",
    "Original",
    "Params",
    "State",
    "VectorEnvironment",
    "advance",
    "evaluate",
    "init",
    "make_train",
    "num_total_updates",
    "over_devices",
    "steps_per_update",
    "update",
]
