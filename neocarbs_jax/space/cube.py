"""Points of the unit cube: what is canonical among them, what is active, and how the prior lies.

The functions take the space as an argument; `SearchSpace` has them as methods.
"""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neocarbs_jax.space import conditions
from neocarbs_jax.space.axes import Choice, Integer, Linear, Ordinal, Pow2


def activity(space: Any, unit: Any) -> dict[str, Any]:
    """Return for each axis with conditions where it is active among unit points; NumPy in, NumPy out."""
    active: dict[str, Any] = {}
    for name, when in space.conditions.items():
        holds: list[Any] = []
        for parent, values in when:
            axis = space.axis_of[parent]
            level = axis.level(space.column(unit, parent))
            holds.append(functools.reduce(operator.or_, (level == one for one in conditions.levels_of(axis, values))))
            holds += [active[parent]] if parent in active else []
        active[name] = functools.reduce(operator.and_, holds)
    return active


def project(space: Any, unit: Any) -> Any:
    """Set the coordinates of axes that are not active to one fixed number; a NumPy array is changed in place."""
    for name, active in activity(space, unit).items():
        columns = space.slices[name]
        if isinstance(unit, np.ndarray):
            unit[..., columns] = np.where(active[..., None], unit[..., columns], conditions.DEAD)
        else:
            projected = jnp.where(active[..., None], unit[..., columns], conditions.DEAD)
            unit = unit.at[..., columns].set(projected)
    return unit


def snap(space: Any, unit: Float[Array, "*m d"]) -> Float[Array, "*m d"]:
    """Return the nearest canonical unit points; see `SearchSpace.snap`."""
    unit = jnp.clip(unit, 0, 1)
    for name, axis in space.axes:
        column = unit[..., space.slices[name]]
        if isinstance(axis, Choice):
            column = jax.nn.one_hot(jnp.argmax(column, axis=-1), axis.size, dtype=unit.dtype)
        elif isinstance(axis, Integer | Pow2 | Ordinal) or (isinstance(axis, Linear) and axis.step is not None):
            column = jnp.clip(axis.to_unit(axis.from_unit(column)).astype(unit.dtype), 0, 1)
        else:
            continue
        unit = unit.at[..., space.slices[name]].set(column)
    return project(space, unit)


def from_prior(space: Any, uniform: Float[Array, "*m d"]) -> Float[Array, "*m d"]:
    """Map uniform points to the prior: a normal of each axis's `width` about its centre, cut to [0, 1]."""
    bounded = np.isfinite(space.width)
    if not bounded.any():
        return uniform
    dtype = uniform.dtype
    center = jnp.asarray(space.start, dtype)
    width = jnp.asarray(np.where(bounded, space.width, 1.0), dtype)
    low, high = (jax.scipy.special.ndtr((edge - center) / width) for edge in (0.0, 1.0))
    broadcast = (1,) * (uniform.ndim - 1) + (space.size,)
    low, high, center, width = (a.reshape(broadcast) for a in (low, high, center, width))
    normal = center + width * jax.scipy.special.ndtri(low + uniform * (high - low))
    return jnp.where(jnp.asarray(bounded).reshape(broadcast), jnp.clip(normal, 0, 1), uniform)
