"""Points that satisfy the constraints of a space: the nearest one, repaired ones, and completed settings.

The functions take the space as an argument, so that `SearchSpace` itself stays small.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neocarbs_jax.space.constraints import holds, quantity, text_of

_STEPS = (1.0, 0.7, 0.5, 0.25, 0.1, 0.03, 0.0)
_BATCHES, _BATCH = 8, 8192


def checked(space: Any, constraints: Sequence[Any], never: Set[str]) -> tuple[Any, ...]:
    """Return the constraints that may bind: one that reads an axis which is never active always holds.

    Args:
        space: whose axes and fixed values they read.
        constraints: expressions or functions.
        never: names of axes that fixed values have switched off.

    Raises:
        ValueError: if one is no function of arrays over the space that gives booleans.
    """
    kept: list[Any] = []
    if not constraints:  # a space of itself starts no device
        return ()
    points = jax.ShapeDtypeStruct((space.size,), jnp.zeros(()).dtype)
    for constraint in constraints:
        said = text_of(constraint)
        try:
            held = jax.eval_shape(lambda unit, c=constraint: jnp.asarray(_held(space, c, unit)), points)
        except KeyError as error:
            if error.args[:1] and error.args[0] in never:
                continue
            known = ", ".join([*space.names, *dict(space.fixed)])
            raise ValueError(f"`constraints` must be of names of the space ({known}); got {said!r}.") from error
        except (TypeError, AttributeError, ArithmeticError, jax.errors.JAXTypeError) as error:
            rule = "`constraints` must be functions of arrays, with &, | and ~ in place of and, or and not"
            raise ValueError(f"{rule}; got {said!r} ({str(error).splitlines()[0]})") from error
        if held.dtype != bool or held.shape != ():
            raise ValueError(f"`constraints` must be true or false for each point; got {said!r}.")
        kept.append(constraint)
    return tuple(kept)


def feasible(space: Any, unit: Any) -> Any:
    """Return whether unit points satisfy all constraints; JAX in, JAX out, NumPy in, NumPy out."""
    xp = unit.__array_namespace__()
    ok = xp.ones(unit.shape[:-1], bool)
    for constraint in space.constraints:
        ok = ok & _held(space, constraint, unit)
    return ok


def _held(space: Any, constraint: Any, unit: Any) -> Any:
    values = {name: _seen(axis, space.column(unit, name)) for name, axis in space.axes}
    inactive = {name: ~active for name, active in space.activity(unit).items()}
    with np.errstate(all="ignore"):
        return holds(constraint, values | dict(space.fixed), inactive)


def _seen(axis: Any, column: Any) -> Any:
    return quantity(axis, axis.level(column) if hasattr(axis, "options") else axis.from_unit(column))


def broken(space: Any, values: Mapping[str, Any]) -> list[str]:
    """Return the constraints that settings break; one that reads what the settings lack holds."""
    seen, found = {}, []
    for name, axis in space.axes:
        if name in values:
            index = axis.index(values[name]) if hasattr(axis, "options") else values[name]
            seen[name] = quantity(axis, np.asarray(-1 if index is None else index))
    for constraint in space.constraints:
        try:
            with np.errstate(all="ignore"):
                ok = bool(holds(constraint, {**seen, **dict(space.fixed)}, {}))
        except KeyError:
            continue
        found += [] if ok else [text_of(constraint)]
    return found


def nearest(space: Any, unit: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """Return the point itself where it is feasible, otherwise the nearest of many that are drawn from the prior.

    Raises:
        ValueError: if none of them is feasible.
    """
    if feasible(space, unit):
        return unit
    found = _nearest(space, unit, {})
    if found is None:
        said = " and ".join(map(text_of, space.constraints))
        rule = "`constraints` must leave something to search"
        raise ValueError(f"{rule}; got {said}, which none of {_BATCHES * _BATCH} points of the space satisfies.")
    return found


def _nearest(
    space: Any, unit: Float[np.ndarray, " d"], given: Mapping[str, Float[np.ndarray, "..."]]
) -> Float[np.ndarray, " d"] | None:
    """Return the feasible point nearest to another one among draws from the prior; some coordinates are given."""
    rng = np.random.default_rng(0)
    for _ in range(_BATCHES):
        with jax.ensure_compile_time_eval():
            points = space.from_prior(jnp.asarray(rng.random((_BATCH, space.size))))
            for name, place in given.items():
                points = points.at[:, space.slices[name]].set(jnp.asarray(place, points.dtype))
            points = np.asarray(space.snap(points), np.float64)
        points = points[feasible(space, points)]
        if len(points):
            return points[np.argmin(np.sum((points - unit) ** 2, axis=1))]
    return None


def settle(space: Any, unit: Float[Array, "*m d"], anchor: Float[Array, "*m d"] | None = None) -> Float[Array, "*m d"]:
    """Return canonical points that satisfy the constraints: each one snapped, or drawn to its anchor.

    Args:
        space: the search space; without constraints, this is its `snap`.
        unit: the points.
        anchor: where each may end; the search centre by default, and for an anchor that breaks a constraint itself.
    """
    if not space.constraints:
        return space.snap(unit)
    center = jnp.broadcast_to(jnp.asarray(space.center, unit.dtype), unit.shape)
    if anchor is not None:
        anchor = jnp.where(feasible(space, space.snap(anchor))[..., None], anchor, center)
    anchor = center if anchor is None else anchor
    steps = jnp.asarray(_STEPS, unit.dtype).reshape(-1, *(1,) * unit.ndim)
    tried = space.snap(anchor[None] + steps * (unit - anchor)[None])
    ok = feasible(space, tried)
    # Where even the anchor fails, by a rounding, the search centre is left.
    first = jnp.take_along_axis(tried, jnp.argmax(ok, axis=0)[None, ..., None], axis=0)[0]
    return jnp.where(jnp.any(ok, axis=0)[..., None], first, center)


def exact(space: Any, unit: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """Return a suggested point such that its exact values satisfy the constraints: a rounding may have broken one."""
    if not space.constraints:
        return unit
    for step in (0.0, 1e-6, 1e-4, 1e-2, 0.1, 0.5):
        near = unit + step * (space.center - unit)
        if not broken(space, space.from_unit(near)):
            return near
    return space.center


def complete(space: Any, given: Mapping[str, Any], unit: Float[np.ndarray, " d"]) -> dict[str, Any] | None:
    """Return all values of a trial some of whose values are given, the others those of a point or near them.

    A given value whose axis would not be active activates it. None where constraints leave nothing.

    Args:
        space: the search space.
        given: name -> value, within the bounds of its axis or beyond.
        unit: the point.
    """
    chosen, others = dict(given), space.all_values(unit)
    for name in reversed(list(space.conditions)):  # children first
        for parent, wanted in space.conditions[name] if name in chosen else ():
            if {**others, **chosen}[parent] not in wanted and parent not in given:
                chosen[parent] = wanted[0]
    values = space.active({**others, **chosen})
    if not broken(space, values):
        return values
    places = {name: np.clip(space.coordinates(name, chosen[name]), 0, 1) for name in space.names if name in chosen}
    found = _nearest(space, unit, places)
    if found is None:
        return None
    values = space.active({**space.all_values(found), **chosen})
    return None if broken(space, values) else values
