"""The reward of boids by all pairs against a grid of cells: microseconds, and where which is faster.

    python -m experiments.bench.neighbours --save

A boid interacts within the larger of its two ranges. Cells have that side, so that its neighbours lie in its own cell
and in the eight around it. Arrays have fixed shapes, so that a cell holds up to a fixed number of boids: here exactly
as many as the fullest cell of the states that are timed, which favours the grid, as an environment cannot know it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from envs import make
from envs.boids import HEIGHT, WIDTH, EnvParams, flocking_reward
from envs.players import scripted
from experiments.bench import harness

RANGES = {"ours": {}, "PufferLib's": {"visual_range": 20.0, "protected_range": 100.0}}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure."""

    num_boids: tuple[int, ...] = (64, 256, 1024)
    """Sizes of the flock."""
    copies: int = 4
    """Flocks at once."""
    rounds: int = 8
    """Timed rounds; the fastest counts."""
    save: bool = False
    """Write the table."""


def grid_reward(position: Any, velocity: Any, params: EnvParams, side: float, capacity: int) -> Any:
    """Return what `flocking_reward` returns, except for its term of the edges, by comparing boids of near cells."""
    columns, rows, n = int(np.ceil(WIDTH / side)), int(np.ceil(HEIGHT / side)), len(position)
    place = jnp.floor(position / side).astype(jnp.int32)
    cell = (place[:, 0] + 1) * (rows + 2) + place[:, 1] + 1  # empty cells all around
    order = jnp.argsort(cell).astype(jnp.int32)
    sorted_cell = cell[order]
    rank = jnp.arange(n, dtype=jnp.int32) - jnp.searchsorted(sorted_cell, sorted_cell).astype(jnp.int32)
    members = jnp.full(((columns + 2) * (rows + 2), capacity), n, jnp.int32).at[sorted_cell, rank].set(order)
    inner = np.array([(c + 1) * (rows + 2) + r + 1 for c in range(columns) for r in range(rows)])
    around = inner[:, None] + np.array([a * (rows + 2) + b for a in (-1, 0, 1) for b in (-1, 0, 1)])[None]

    both = jnp.concatenate([jnp.concatenate([position, velocity], axis=1), jnp.full((1, 4), 1e6)])
    own_index, index = members[inner], members[around].reshape(len(inner), -1)
    own, theirs = both[own_index], both[index]
    distance = jnp.sqrt(sum((own[:, :, None, k] - theirs[:, None, :, k]) ** 2 for k in range(2)))
    others = (own_index[:, :, None] != index[:, None]) & (index < n)[:, None]
    close = others & (distance < params.protected_range)
    near = (others & (distance < params.visual_range) & ~close).astype(jnp.float32)
    num_close, num_near = jnp.sum(close, axis=2).astype(jnp.float32), jnp.sum(near, axis=2)
    away = jnp.abs((near @ theirs) / jnp.maximum(num_near, 1.0)[..., None] - own)
    penalty = params.matching * away[..., 2:].sum(axis=-1) + params.centring * away[..., :2].sum(axis=-1)
    reward = -params.avoid * jnp.minimum(num_close / 5, 1.0) - jnp.where(num_near > 0, penalty, 0.0)
    return jnp.zeros(n + 1).at[own_index].set(reward)[:n] / 2


def states(num_boids: int, copies: int) -> dict[str, Any]:
    """Return positions and velocities at the start of an episode, and in flocks that have formed."""
    env = make("boids", num_boids=num_boids)
    params, policy = env.default_params, scripted(env)

    def body(state, key):
        return env.transition(state, policy(key, state, params), params)[0], None

    def episode(key):
        start = env.reset_env(key, params)[1]
        return start, jax.lax.scan(body, start, jax.random.split(key, 400))[0]

    pair = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(0), copies))
    return {name: (state.position, state.velocity) for name, state in zip(("scattered", "flock"), pair, strict=True)}


def fullest(position: Any, side: float) -> int:
    """Return the largest number of boids in one cell."""
    cells = np.floor(np.asarray(position) / side).astype(int)
    return max(int(np.unique(flock, axis=0, return_counts=True)[1].max()) for flock in cells)


def repeated(function: Callable[..., Any], arguments: Any) -> Callable[[int], Any]:
    """Return a call that runs the compiled function 5 times."""
    compiled = jax.jit(jax.vmap(function))
    return lambda _: jax.block_until_ready([compiled(*arguments) for _ in range(5)])


def measure(num_boids: int, where: str, arguments: Any, ranges: str, settings: Settings) -> tuple[object, ...]:
    """Return one row of the table."""
    env = make("boids", num_boids=num_boids)
    params = env.default_params.replace(margin_turn=0.0, **RANGES[ranges])
    side = max(float(params.visual_range), float(params.protected_range))
    capacity = fullest(arguments[0], side)
    scale = jnp.array([WIDTH, HEIGHT, 5.0, 5.0])

    def observe(position, velocity):
        both = jnp.concatenate([position, velocity], axis=1) / scale[None]
        return both[None] - both[:, None]

    calls = {
        "pairs": repeated(lambda x, v: flocking_reward(x, v, params), arguments),
        "grid": repeated(lambda x, v: grid_reward(x, v, params, side, capacity), arguments),
        "observation": repeated(observe, arguments),
    }
    timings = harness.time_in_turns(calls, settings.rounds)
    error = np.abs(np.asarray(timings["pairs"].results[0]) - np.asarray(timings["grid"].results[0])).max()
    micro = [1e6 * timings[name].wall.min() / 5 / settings.copies for name in calls]
    return (
        num_boids,
        ranges,
        where,
        capacity,
        *(f"{x:.0f}" for x in micro),
        f"{micro[1] / micro[0]:.1f}",
        f"{error:.0e}",
    )


def main() -> None:
    """Entry point."""
    settings = tyro.cli(Settings, description=__doc__)
    measured = harness.stamp()
    rows = [
        measure(num_boids, where, arguments, ranges, settings)
        for num_boids in settings.num_boids
        for where, arguments in states(num_boids, settings.copies).items()
        for ranges in RANGES
    ]
    columns = (
        "boids, ranges, state, fullest cell, all pairs us, grid us, observation us, grid / pairs, largest difference"
    )
    about = (
        "Time of the reward of one flock, by all pairs and by a grid, and of the observation, which is of all pairs in "
        f"either case. {settings.copies} flocks at once, fastest of {settings.rounds} rounds."
    )
    page = harness.page("Neighbours in boids", measured, about, harness.table(columns.split(", "), rows))
    if settings.save:
        harness.write_text(harness.RESULTS / "neighbours.md", page)
    print(page)


if __name__ == "__main__":
    main()
