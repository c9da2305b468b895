"""The kernel of the surrogates, a `tinygp.kernels.Kernel`, and the form in which a user gives another one.

    k(u, u') = a Matern52(|(u - u') / l|) + b (u - 1/2).(u' - 1/2) + 1

It has one lengthscale l_j per axis and a linear variance b. The constant is the variance of an unknown mean; targets
are standardised. A `KernelBuilder` joins a kernel to the prior of its parameters.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import tinygp
from jaxtyping import Array, ArrayLike, Float

from neocarbs_jax.precision import matmul

_MEAN_VARIANCE = 1.0


class Normal(NamedTuple):
    """Independent normal priors of one parameter's elements.

    Attributes:
        mean: of each element; its shape is the parameter's.
        std: standard deviation of each element, or of all.
    """

    mean: Float[ArrayLike, "..."]
    std: Float[ArrayLike, "..."] = 1.0


@dataclasses.dataclass(frozen=True)
class KernelBuilder:
    """A family of kernels with a prior over its parameters, which are fitted by maximum a posteriori.

    Attributes:
        build: parameters by name -> kernel of points of the unit cube. Parameters are unbounded, so take exponentials
            of those that must be positive.
        prior: number of unit coordinates -> prior of each parameter by name. Fits start at the prior means, and stay
            within 12 prior standard deviations of them.
    """

    build: Callable[[Mapping[str, Array]], tinygp.kernels.Kernel]
    prior: Callable[[int], Mapping[str, Normal]]


class MaternLinear(tinygp.kernels.Kernel):
    """Matern-5/2 with one lengthscale per axis, plus linear, plus constant; see the module's formula.

    A matrix of pairs is made of matrix products, which a CPU computes five times as fast as pair by pair.

    Attributes:
        lengthscale: l, one per axis.
        amplitude: a, a variance.
        linear: b, a variance.
    """

    lengthscale: Float[Array, " d"]
    amplitude: Float[Array, ""]
    linear: Float[Array, ""]

    def evaluate(self, X1: Float[Array, " d"], X2: Float[Array, " d"]) -> Float[Array, ""]:
        """Evaluate one pair of points."""
        difference = (X1 - X2) / self.lengthscale
        slopes = jnp.sum((X1 - 0.5) * (X2 - 0.5))
        return self._combine(jnp.sum(difference * difference), slopes)

    def evaluate_diag(self, X: Float[Array, " d"]) -> Float[Array, ""]:
        """Evaluate a point with itself."""
        return self.amplitude + self.linear * jnp.sum((X - 0.5) ** 2) + _MEAN_VARIANCE

    def __call__(self, X1: Float[Array, "n d"], X2: Float[Array, "m d"] | None = None) -> Array:
        """Evaluate all pairs of points, or each point of `X1` with itself if `X2` is None."""
        if X2 is None:
            return super().__call__(X1)
        left, right = X1 - 0.5, X2 - 0.5
        a, b = left / self.lengthscale[None, :], right / self.lengthscale[None, :]
        squared = jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)[None, :] - 2 * matmul(a, b.T)
        return self._combine(squared, matmul(left, right.T))

    def _combine(self, squared: Float[Array, "*p"], slopes: Float[Array, "*p"]) -> Float[Array, "*p"]:
        r = jnp.sqrt(5 * jnp.maximum(squared, jnp.finfo(squared.dtype).tiny))  # at 0 the root has no slope
        return self.amplitude * (1 + r + r * r / 3) * jnp.exp(-r) + self.linear * slopes + _MEAN_VARIANCE


def _build(parameters: Mapping[str, Array]) -> MaternLinear:
    return MaternLinear(*(jnp.exp(parameters[f"log_{name}"]) for name in ("lengthscale", "amplitude", "linear")))


def _prior(num_axes: int) -> dict[str, Normal]:
    """Lengthscales grow with sqrt(d), as distances do (Hvarfner et al., 2024), from a shorter and firmer start.

    With a few observations, long lengthscales are confident and wrong.
    """
    lengthscale = jnp.full(num_axes, math.log(num_axes) / 2 - 1.25)
    return {"log_lengthscale": Normal(lengthscale), "log_amplitude": Normal(0.0), "log_linear": Normal(-3.0)}


MATERN_LINEAR = KernelBuilder(_build, _prior)
"""The default: ln l_j ~ N(ln(d)/2 - 1.25, 1), ln a ~ N(0, 1), ln b ~ N(-3, 1)."""
