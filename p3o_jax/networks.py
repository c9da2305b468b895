"""Flax actor-critic: a torso (MLP, CNN or GRU) for the policy, another for the values, a head on each.

Sequences are time-major. A recurrent torso starts anew wherever `first` is set; the others ignore it and carry nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

Initializer = Callable[..., Array]
Memory = Any  # a torso's recurrent state: [b, width], or () where there is none

KINDS = ("mlp", "cnn", "gru")
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"relu": nn.relu, "tanh": nn.tanh, "gelu": nn.gelu, "silu": nn.silu}


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the network.

    Attributes:
      kind: "mlp"; "cnn" (a 3 x 3 convolution, then the MLP); "gru" (the MLP, then a gated recurrent unit).
      width: units of every hidden layer.
      depth: number of hidden layers.
      channels: output channels of the convolution.
      activation: "relu", "tanh", "gelu" or "silu".
      shared: one torso for policy and values instead of two.
    """

    kind: str = "mlp"
    width: int = 64
    depth: int = 2
    channels: int = 16
    activation: str = "relu"
    shared: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(KINDS)}; got {self.kind!r}.")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {', '.join(ACTIVATIONS)}; got {self.activation!r}.")
        for name in ("width", "depth", "channels"):
            if not isinstance(getattr(self, name), Integral):
                raise ValueError(f"`{name}` must be an integer; got {getattr(self, name)!r}.")
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1; got {getattr(self, name)}.")
        if not isinstance(self.shared, bool):
            raise ValueError(f"`shared` must be True or False; got {self.shared!r}.")


class Recurrence(nn.Module):
    """A gated recurrent unit over time that forgets at the first step of an episode."""

    width: int
    dtype: Any

    @partial(nn.scan, variable_broadcast="params", split_rngs={"params": False}, in_axes=0, out_axes=0)
    @nn.compact
    def __call__(self, memory: Float[Array, "b w"], inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        """One step; scanned over the leading axis of `inputs` = (features, first)."""
        features, first = inputs
        memory = jnp.where(first[:, None], jnp.zeros_like(memory), memory)
        return nn.GRUCell(self.width, dtype=self.dtype, recurrent_kernel_init=orthogonal())(memory, features)


def orthogonal(scale: float = 1.0) -> Initializer:
    """Orthogonal kernels; those of a batch of networks are drawn one after the other.

    On CPUs jaxlib 0.10 spreads a batch of QR decompositions over the very pool of threads whose thread then waits for
    them: as many batches at once as there are threads wait for ever.
    """
    draw = nn.initializers.orthogonal(scale)

    def init(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.custom_batching.sequential_vmap(lambda key: draw(key, shape, dtype))(key)

    return init


def narrow_dot(x: Float[Array, "n w"], kernel: Float[Array, "w o"], dimension_numbers: Any, **options: Any) -> Array:
    """Returns `x @ kernel`, made for few outputs on a CPU: `nn.Dense(dot_general=narrow_dot)`.

    The gradient of a kernel of 128 x 32 then takes less than half the time, of 128 x 3 an eighth: as [o, w] the product
    that gives it runs along the long rows of `x`. The barrier keeps the compiler from turning it around again.
    """
    if jax.default_backend() != "cpu" or kernel.shape[0] <= kernel.shape[1]:
        return lax.dot_general(x, kernel, dimension_numbers, **options)
    turned = lax.optimization_barrier(kernel.T)
    return lax.dot_general(x, turned, (((1,), (1,)), ((), ())), **options)


class Torso(nn.Module):
    """Observations to features."""

    config: NetworkConfig
    dtype: Any

    @nn.compact
    def __call__(self, obs: Array, first: Bool[Array, "t b"], memory: Memory) -> tuple[Float[Array, "n w"], Memory]:
        """Features of a sequence, flat over steps and environments, and the memory after it."""
        config, activation = self.config, ACTIVATIONS[self.config.activation]
        # One flat batch: gradients of weights are then plain matrix products, which CPUs are much faster at.
        x = obs.astype(self.dtype).reshape(-1, *obs.shape[2:])
        if config.kind == "cnn":
            x = activation(nn.Conv(config.channels, (3, 3), dtype=self.dtype)(x))
        x = x.reshape(x.shape[0], -1)
        for _ in range(config.depth):
            x = activation(nn.Dense(config.width, dtype=self.dtype, kernel_init=orthogonal(2**0.5))(x))
        if config.kind == "gru":
            memory, x = Recurrence(config.width, self.dtype)(memory, (x.reshape(*first.shape, -1), first))
        return x.reshape(first.size, -1), memory


class ActorCritic(nn.Module):
    """Policy outputs and values of sequences of observations.

    Attributes:
      config: shape of the torsos.
      num_outputs: width of the policy head.
      num_free: further policy outputs, the same in every state.
      num_values: width of the value head: H lags, or 1.
      dtype: of the computation; parameters are float32.
    """

    config: NetworkConfig
    num_outputs: int
    num_free: int
    num_values: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.policy_torso = Torso(self.config, self.dtype)
        if not self.config.shared:
            self.value_torso = Torso(self.config, self.dtype)
        head = partial(nn.Dense, dtype=self.dtype, dot_general=narrow_dot)
        self.policy_head = head(self.num_outputs, kernel_init=orthogonal(0.01))
        # The sum over lags starts as large as one value does.
        self.value_head = head(self.num_values, kernel_init=orthogonal(self.num_values**-0.5))
        if self.num_free:
            self.free = self.param("free", nn.initializers.zeros, (self.num_free,))

    def _outputs(self, features: Float[Array, "n w"], first: Bool[Array, "t b"]) -> Float[Array, "t b o"]:
        outputs = self.policy_head(features).astype(jnp.float32).reshape(*first.shape, -1)
        if not self.num_free:
            return outputs
        free = jnp.broadcast_to(self.free.reshape(1, 1, -1), (*outputs.shape[:-1], self.num_free))
        return jnp.concatenate([outputs, free], axis=-1)

    def policy(self, obs: Array, first: Bool[Array, "t b"], memory: Memory) -> tuple[Float[Array, "t b o"], Memory]:
        """Policy outputs alone, all that acting needs, and the policy torso's memory after the sequence."""
        features, memory = self.policy_torso(obs, first, memory)
        return self._outputs(features, first), memory

    def value(self, obs: Array, first: Bool[Array, "t b"], memory: Memory) -> tuple[Float[Array, "t b v"], Memory]:
        """Values alone, and the memory of the torso that they come from."""
        torso = self.policy_torso if self.config.shared else self.value_torso
        features, memory = torso(obs, first, memory)
        return self.value_head(features).reshape(*first.shape, -1), memory

    def __call__(
        self, obs: Array, first: Bool[Array, "t b"], policy_memory: Memory, value_memory: Memory
    ) -> tuple[Float[Array, "t b o"], Float[Array, "t b v"]]:
        """Policy outputs and values; a shared torso runs once."""
        features, _ = self.policy_torso(obs, first, policy_memory)
        if self.config.shared:
            return self._outputs(features, first), self.value_head(features).reshape(*first.shape, -1)
        return self._outputs(features, first), self.value(obs, first, value_memory)[0]

    def init_memory(self, batch_size: int) -> Memory:
        """Memory of one torso before anything was seen."""
        return jnp.zeros((batch_size, self.config.width), self.dtype) if self.config.kind == "gru" else ()
