"""Flax actor-critic: a torso (MLP, CNN or GRU) for the policy, another for the values, a head on each.

Sequences are time-major. A recurrent torso starts anew wherever `first` is set; the others ignore it and carry nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from p3o_jax.checks import check_booleans, check_choice, check_positive_integers
from p3o_jax.devices import flatten, unflatten

Initializer = Callable[..., Array]
Memory = Any
"""A torso's recurrent state, an array with one row per environment, or () where there is none."""

KINDS = ("mlp", "cnn", "gru")
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"relu": nn.relu, "tanh": nn.tanh, "gelu": nn.gelu, "silu": nn.silu}


class Memories(NamedTuple):
    """Recurrent states of the two torsos at a segment's start."""

    policy: Memory
    value: Memory


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the network.

    Attributes:
        kind: "mlp"; "cnn" (a 3 x 3 convolution, then the MLP); "gru" (the MLP, then a gated recurrent unit).
        width: Units of every hidden layer.
        depth: Number of hidden layers.
        channels: Output channels of the convolution.
        activation: "relu", "tanh", "gelu" or "silu".
        shared: Whether policy and values share one torso instead of having two.
    """

    kind: str = "mlp"
    width: int = 64
    depth: int = 2
    channels: int = 16
    activation: str = "relu"
    shared: bool = False

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_positive_integers(self, ("width", "depth", "channels"))
        check_booleans(self, ("shared",))


class Recurrence(nn.Module):
    """A gated recurrent unit over time that forgets at the first step of an episode."""

    width: int
    dtype: Any

    @partial(nn.scan, variable_broadcast="params", split_rngs={"params": False}, in_axes=0, out_axes=0)
    @nn.compact
    def __call__(self, memory: Float[Array, "b w"], inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        """Take one step; scanned over the leading axis of `inputs` = (features, first)."""
        features, first = inputs
        memory = jnp.where(first[:, None], jnp.zeros_like(memory), memory)
        return nn.GRUCell(self.width, dtype=self.dtype, recurrent_kernel_init=orthogonal())(memory, features)


def orthogonal(scale: float = 1.0) -> Initializer:
    """Return an initializer of orthogonal kernels that draws those of a batch of networks one after the other.

    On CPUs jaxlib 0.10 spreads a batch of QR decompositions over the same pool of threads whose thread then waits for
    them: as many batches at once as there are threads wait for ever.
    """
    draw = nn.initializers.orthogonal(scale)

    def init(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.custom_batching.sequential_vmap(lambda key: draw(key, shape, dtype))(key)

    return init


def narrow_dot(x: Float[Array, "n w"], kernel: Float[Array, "w o"], dimension_numbers: Any, **options: Any) -> Array:
    """Return `x @ kernel`, made for few outputs on a CPU: `nn.Dense(dot_general=narrow_dot)`.

    The gradient of a kernel of 128 x 32 then takes less than half the time, and one of 128 x 3 an eighth, because with
    the kernel transposed the product that gives it runs along the long rows of `x`. The barrier keeps the compiler from
    transposing it back.
    """
    if jax.default_backend() != "cpu" or kernel.shape[0] <= kernel.shape[1]:
        return lax.dot_general(x, kernel, dimension_numbers, **options)
    turned = lax.optimization_barrier(kernel.T)
    return lax.dot_general(x, turned, (((1,), (1,)), ((), ())), **options)


class Torso(nn.Module):
    """Map from observations to features."""

    config: NetworkConfig
    dtype: Any

    @nn.compact
    def __call__(self, obs: Array, first: Bool[Array, "t b"], memory: Memory) -> tuple[Float[Array, "n w"], Memory]:
        """Return features of a sequence, flat over steps and environments, and the memory after it.

        Observations of any type are cast, not scaled: bytes of an image enter as 0 to 255.
        """
        config, activation = self.config, ACTIVATIONS[self.config.activation]
        # One flat batch: gradients of weights are then plain matrix products, which CPUs are much faster at.
        x = flatten(obs.astype(self.dtype))
        if config.kind == "cnn":
            x = activation(nn.Conv(config.channels, (3, 3), dtype=self.dtype)(x))
        x = x.reshape(x.shape[0], -1)
        for _ in range(config.depth):
            x = activation(nn.Dense(config.width, dtype=self.dtype, kernel_init=orthogonal(2**0.5))(x))
        if config.kind == "gru":
            memory, x = Recurrence(config.width, self.dtype)(memory, (unflatten(x, *first.shape), first))
            x = flatten(x)
        return x, memory


class ActorCritic(nn.Module):
    """Policy outputs and values of sequences of observations.

    Attributes:
        config: Shape of the torsos.
        num_outputs: Width of the policy head.
        num_free: Further policy outputs, the same in every state.
        num_values: Width of the value head: K bands, H lags, or 1.
        dtype: Of the computation; parameters are float32.
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
        # The sum of the outputs starts as large as one value does.
        self.value_head = head(self.num_values, kernel_init=orthogonal(self.num_values**-0.5))
        if self.num_free:
            self.free = self.param("free", nn.initializers.zeros, (self.num_free,), jnp.float32)

    def _outputs(self, features: Float[Array, "n w"], first: Bool[Array, "t b"]) -> Float[Array, "t b o"]:
        outputs = unflatten(self.policy_head(features).astype(jnp.float32), *first.shape)
        if not self.num_free:
            return outputs
        free = jnp.broadcast_to(self.free.reshape(1, 1, -1), (*outputs.shape[:-1], self.num_free))
        return jnp.concatenate([outputs, free], axis=-1)

    def policy(self, obs: Array, first: Bool[Array, "t b"], memory: Memory) -> tuple[Float[Array, "t b o"], Memory]:
        """Return policy outputs alone, all that acting needs, and the policy torso's memory after the sequence."""
        features, memory = self.policy_torso(obs, first, memory)
        return self._outputs(features, first), memory

    def policy_and_features(
        self, obs: Array, first: Bool[Array, "t b"], memory: Memory
    ) -> tuple[Float[Array, "t b o"], Float[Array, "t b w"]]:
        """Return policy outputs, and the features that the policy head makes them of."""
        features, _ = self.policy_torso(obs, first, memory)
        return self._outputs(features, first), unflatten(features.astype(jnp.float32), *first.shape)

    def value(self, obs: Array, first: Bool[Array, "t b"], memory: Memory) -> tuple[Float[Array, "t b v"], Memory]:
        """Return values alone, and the memory of the torso that they come from."""
        torso = self.policy_torso if self.config.shared else self.value_torso
        features, memory = torso(obs, first, memory)
        return unflatten(self.value_head(features), *first.shape), memory

    def __call__(
        self, obs: Array, first: Bool[Array, "t b"], policy_memory: Memory, value_memory: Memory
    ) -> tuple[Float[Array, "t b o"], Float[Array, "t b v"]]:
        """Return policy outputs and values; a shared torso runs once."""
        features, _ = self.policy_torso(obs, first, policy_memory)
        if self.config.shared:
            return self._outputs(features, first), unflatten(self.value_head(features), *first.shape)
        return self._outputs(features, first), self.value(obs, first, value_memory)[0]

    def init_memory(self, batch_size: int) -> Memory:
        """Return the memory of one torso before anything was seen."""
        return jnp.zeros((batch_size, self.config.width), self.dtype) if self.config.kind == "gru" else ()
