"""Boids: agents that are rewarded for moving as a flock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs import environment
from envs.environment import Box, Environment
from p3o_jax.checks import check_at_least

WIDTH, HEIGHT, BOID = 1080.0, 720.0, 32.0
MAX_SPEED, ACCELERATION, MARGIN = 5.0, 2.0, 50.0
CROWD = 5.0
LONGEST = 1024
"""Steps of an episode of the original."""


class EnvState(environment.EnvState):
    """State of an episode. Positions are in pixels and velocities in pixels per step; their last axis is x, y."""

    position: Float[Array, "boids 2"]
    velocity: Float[Array, "boids 2"]
    total_reward: Float[Array, " boids"]


class EnvParams(environment.EnvParams):
    """Ranges in pixels and weights of the rewards.

    The original has a visual range of 20 inside a protected range of 100, so that matching and centring never count
    there.

    Attributes:
        visual_range: A boid sees others that are nearer than this.
        protected_range: A boid crowds others that are nearer than this.
        avoid: Weight of crowding.
        matching: Weight of the difference in velocity.
        centring: Weight of the difference in position.
        margin_turn: Weight of keeping away from the edges.
    """

    max_steps_in_episode: int = LONGEST
    visual_range: float = 200.0
    protected_range: float = 40.0
    avoid: float = 1.0
    matching: float = 0.2
    centring: float = 0.01
    margin_turn: float = 1.0


@dataclass(frozen=True)
class Boids(Environment):
    """Keep together without crowding, and away from the edges.

    Observation per boid i (4 floats for every boid j, itself included): dx / 1080, dy / 720, dvx / 5, dvy / 5 of
    j relative to i. With `nearest`, these of so many others only, nearest first; with `see_self`, its own x / 1080,
    y / 720, vx / 5, vy / 5 before them.
    Actions (2 floats in [-1, 1]): twice the action is added to the velocity, whose components are then clipped to
    [-5, 5]. Positions are clipped to the field less 32 pixels.
    Reward: half the sum of these terms. Boid j is near boid i if it is within the visual range and outside the
    protected range:
        - avoid * min(n / 5, 1) for n boids within the protected range
        - matching * (|mean velocity of the near - own|, summed over x and y)
        - centring * (|mean position of the near - own|, summed over x and y)
        + margin_turn for each axis on which it keeps 50 pixels from the edge, - margin_turn for each it does not
    Truncates: after 1024 steps. Score: mean reward of a step over the episode.
    Source: Boids of PufferLib 3.0. Departures: ranges, as above; all boids move before any is rewarded.

    Args:
        num_boids: Number of boids.
        see_self: Whether a boid also observes its own place and velocity. Without them, as in the original, boids that
            drift together see nothing of it.
        nearest: If positive, a boid observes so many others and not all of them.
        shortest: Steps of the first episodes of a training; 0 makes all of them whole. Boids that do not know yet how
            to fly end in the corners within a few hundred steps and learn little there, so that short episodes teach
            more. Evaluations have whole episodes.
        longer_every: Steps of training, of single agents, after each of which its episodes become twice as long, until
            they are whole; 0 is never.
    """

    num_boids: int = 64
    see_self: bool = False
    nearest: int = 0
    shortest: int = 0
    longer_every: int = 0

    costly_reset: ClassVar[bool] = True

    def __post_init__(self):
        check_at_least(2, num_boids=self.num_boids)
        check_at_least(0, shortest=self.shortest, longer_every=self.longer_every)
        if not 0 <= self.nearest < self.num_boids:
            raise ValueError(f"`nearest` must be from 0 to `num_boids` - 1; got {self.nearest}.")

    @property
    def num_agents(self) -> int:
        return self.num_boids

    @property
    def default_params(self) -> EnvParams:
        return EnvParams()

    def params_at(self, params: EnvParams, num_updates: Int[Array, ""], steps_per_update: int) -> EnvParams:
        """Return the parameters after some updates of a training: longer episodes every so often."""
        if not self.shortest:
            return params
        length = jnp.asarray(min(self.shortest, LONGEST), jnp.int32)
        if self.longer_every:
            times = num_updates // -(-self.longer_every // steps_per_update)
            length <<= jnp.minimum(times, LONGEST.bit_length())
        return params.replace(max_steps_in_episode=jnp.minimum(length, params.max_steps_in_episode).astype(jnp.int32))

    def action_space(self, params: EnvParams | None = None) -> Box:
        return Box(-1.0, 1.0, (2,))

    def observation_space(self, params: EnvParams | None = None) -> Box:
        return Box(-2.0, 2.0, (4 * ((self.nearest or self.num_boids) + self.see_self),))

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Float[Array, "boids k"], EnvState]:
        high = jnp.array([WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN], jnp.float32)
        position = MARGIN + jax.random.uniform(key, (self.num_boids, 2), jnp.float32) * high[None]
        velocity, total = jnp.zeros((self.num_boids, 2), jnp.float32), jnp.zeros(self.num_boids, jnp.float32)
        state = EnvState(jnp.zeros((), jnp.int32), position, velocity, total)
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Float[Array, "boids 2"], params: EnvParams
    ) -> tuple[Float[Array, "boids k"], EnvState, Float[Array, " boids"], Bool[Array, " boids"], dict[str, Any]]:
        action = self.as_action(action, params)
        state, reward = self.transition(state, action, params)
        info = {"score": state.total_reward / state.time.astype(jnp.float32)}
        return self.get_obs(state, params), state, reward, jnp.zeros(self.num_boids, bool), info

    def transition(
        self, state: EnvState, action: Float[Array, "boids 2"], params: EnvParams
    ) -> tuple[EnvState, Float[Array, " boids"]]:
        """Apply the rules, which have no randomness, and return (state, reward)."""
        velocity = state.velocity + ACCELERATION * jnp.clip(action, -1.0, 1.0)
        velocity = jnp.clip(velocity, -MAX_SPEED, MAX_SPEED)
        high = jnp.array([WIDTH - BOID, HEIGHT - BOID], jnp.float32)[None]
        position = jnp.clip(state.position + velocity, 0.0, high)
        reward = flocking_reward(position, velocity, params)
        return EnvState(state.time + 1, position, velocity, state.total_reward + reward), reward

    def get_obs(self, state: EnvState, params: EnvParams) -> Float[Array, "boids k"]:
        both = jnp.concatenate([state.position, state.velocity], axis=-1)
        both = both / jnp.array([WIDTH, HEIGHT, MAX_SPEED, MAX_SPEED], jnp.float32)[None]
        relative = both[None] - both[:, None]
        if self.nearest:
            squared = sum((state.position[None, :, k] - state.position[:, None, k]) ** 2 for k in range(2))
            squared = jnp.where(jnp.eye(self.num_boids, dtype=bool), jnp.inf, squared)
            order = jax.lax.top_k(-squared, self.nearest)[1]
            relative = jnp.take_along_axis(relative, order[..., None], axis=1)
        relative = relative.reshape(self.num_boids, -1)
        return jnp.concatenate([both, relative], axis=1) if self.see_self else relative


def flocking_reward(
    position: Float[Array, "boids 2"], velocity: Float[Array, "boids 2"], params: EnvParams
) -> Float[Array, " boids"]:
    """Return the reward of every boid, as described in `Boids`."""
    distance = jnp.sqrt(sum((position[None, :, k] - position[:, None, k]) ** 2 for k in range(2)))
    others = ~jnp.eye(len(position), dtype=bool)
    close = others & (distance < params.protected_range)
    near = (others & (distance < params.visual_range) & ~close).astype(jnp.float32)
    num_close, num_near = jnp.sum(close, axis=1).astype(jnp.float32), jnp.sum(near, axis=1)
    reward = -params.avoid * jnp.minimum(num_close / CROWD, 1.0)

    for quantity, weight in ((velocity, params.matching), (position, params.centring)):
        mean = (near @ quantity) / jnp.maximum(num_near, 1.0)[:, None]
        penalty = jnp.sum(jnp.abs(mean - quantity), axis=1)
        reward -= jnp.where(num_near > 0, weight * penalty, 0.0)

    field = jnp.array([WIDTH, HEIGHT], jnp.float32)[None]
    inside = (position >= MARGIN) & (position <= field - MARGIN)
    reward += params.margin_turn * jnp.sum(jnp.where(inside, 1.0, -1.0).astype(jnp.float32), axis=1)
    return reward / 2
