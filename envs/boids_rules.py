"""The three rules of Reynolds by which birds flock: the scripted player of boids."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from envs.boids import ACCELERATION, HEIGHT, MARGIN, WIDTH, EnvParams

SPREAD = 1.5
"""A boid keeps this many protected ranges away from others."""
CRUISE = 2.5
"""Speed that a boid falls into, pixels per step."""
LOOK = 60.0
"""A boid begins to turn this many pixels before the margin."""
SEPARATION, ALIGNMENT, COHESION, TURN, DRIVE, WANDER = 16.0, 0.3, 0.005, 2.0, 0.1, 0.05
"""Weights of the rules, of turning at the margin, of the cruising speed, and of a random push."""


def flock(
    key: PRNGKeyArray, position: Float[Array, "boids 2"], velocity: Float[Array, "boids 2"], params: EnvParams
) -> Float[Array, "boids 2"]:
    """Return the action of every boid: keep apart, fly as the neighbours fly, and stay near them.

    Acceleration is the weighted sum of

        separation = sum over others j within r of (1 - d_j / r) * (unit vector away from j), r = 1.5 protected ranges
        alignment = mean velocity of the neighbours - own
        cohesion = mean position of the neighbours - own

    where neighbours are within the visual range, and of a turn inwards near the edges, a pull towards the cruising
    speed, and a small random push, without which a boid that sees nobody would stand still for ever.

    References:
        Reynolds, Flocks, Herds, and Schools: A Distributed Behavioral Model, 1987.
    """
    offset = position[None] - position[:, None]
    distance = jnp.sqrt(jnp.sum(offset**2, axis=-1))
    others = ~jnp.eye(len(position), dtype=bool)
    reach = SPREAD * params.protected_range
    push = jnp.where(others & (distance < reach), (1 - distance / reach) / jnp.maximum(distance, 1.0), 0.0)
    separation = -jnp.sum(push[..., None] * offset, axis=1)

    near = (others & (distance < params.visual_range)).astype(jnp.float32)
    num_near = jnp.sum(near, axis=1, keepdims=True)
    alignment, cohesion = (
        jnp.where(num_near > 0, (near @ x) / jnp.maximum(num_near, 1.0) - x, 0.0) for x in (velocity, position)
    )
    border, field = MARGIN + LOOK, jnp.array([WIDTH, HEIGHT], jnp.float32)[None]
    inwards = jnp.maximum(border - position, 0.0) - jnp.maximum(position - (field - border), 0.0)
    speed = jnp.sqrt(jnp.sum(velocity**2, axis=1, keepdims=True))
    faster = (CRUISE / jnp.maximum(speed, 0.1) - 1) * velocity
    wander = jax.random.normal(key, position.shape, jnp.float32)
    rules = SEPARATION * separation + ALIGNMENT * alignment + COHESION * cohesion
    acceleration = rules + TURN / LOOK * inwards + DRIVE * faster + WANDER * wander
    return jnp.clip(acceleration / ACCELERATION, -1.0, 1.0)
