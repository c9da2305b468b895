"""Foraging: small rewards a few steps away and a large one a hundred steps away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs import environment
from envs.environment import Box, Discrete, Environment
from p3o_jax.checks import check_at_least

_MOVES = np.array([[0, 0], [0, 1], [0, -1], [1, 0], [-1, 0]], np.int32)


class EnvState(environment.EnvState):
    """State of an episode on an endless strip. Positions along the strip are relative to the agent.

    Attributes:
        row: The agent's row.
        resource: Signed steps along the strip to the resource.
        enemy: Offset (along, across) to the enemy.
        enemy_time: Steps the enemy stays; 0 or less where there is none.
        num_enemies: Enemies reached in this episode.
        num_resources: Resources reached in this episode.
    """

    row: Int[Array, ""]
    resource: Int[Array, ""]
    enemy: Int[Array, " 2"]
    enemy_time: Int[Array, ""]
    num_enemies: Int[Array, ""]
    num_resources: Int[Array, ""]


class EnvParams(environment.EnvParams):
    """Distances and times in steps, and rewards.

    Attributes:
        near: Largest distance along the strip at which an enemy appears.
        far_low: Smallest distance of a new resource.
        far_high: Largest distance of a new resource.
        enemy_time: Number of steps that an enemy stays.
        enemy_rate: Probability that an enemy appears in a step in which there is none.
        reward_near: Reward for reaching an enemy.
        reward_far: Reward for reaching the resource.
        noise: Standard deviation of the noise that is added to the reward of every step.
    """

    max_steps_in_episode: int = 512
    near: int = 3
    far_low: int = 60
    far_high: int = 120
    enemy_time: int = 10
    enemy_rate: float = 0.5
    reward_near: float = 0.1
    reward_far: float = 1.0
    noise: float = 0.0


class Draws(NamedTuple):
    """Random draws of a step.

    Attributes:
        resource: Signed distance of the next resource.
        enemy: Offset along the strip, and row, of the next enemy.
        appears: Whether an enemy appears, if there is none.
        noise: A standard normal number.
    """

    resource: Int[Array, ""]
    enemy: Int[Array, " 2"]
    appears: Bool[Array, ""]
    noise: Float[Array, ""]


@dataclass(frozen=True)
class Foraging(Environment):
    """Catch enemies near by and walk to the resource far away.

    Observation (6 floats):
        0     row / (rows - 1)
        1, 2  enemy's offset along / 3 and across / (rows - 1), 0 without one
        3     enemy's remaining time / 10, 0 without one
        4     -1 or 1: the side of the resource
        5     distance to the resource / 120
    Actions: 0 stay, 1 up, 2 down, 3 along, 4 back.
    Reward: 0.1 on reaching an enemy, 1 on reaching the resource's column (after which the next one lies 60 to 120
    steps away on either side), plus noise if asked for.
    Truncates: after 512 steps. Score: the return without noise. Also reports `near_rate` and `far_rate`, the enemies
    and the resources reached per step.
    Source: our own. It shows the limits of a single discount: a small one learns to catch enemies quickly but cannot
    see the resource, and a large one, which can, learns about enemies from noisier returns.

    Args:
        rows: Number of rows of the strip.
    """

    rows: int = 5

    metrics: ClassVar[tuple[str, ...]] = ("near_rate", "far_rate")
    costly_reset: ClassVar[bool] = True

    def __post_init__(self):
        check_at_least(2, rows=self.rows)

    @property
    def default_params(self) -> EnvParams:
        return EnvParams()

    def action_space(self, params: EnvParams | None = None) -> Discrete:
        return Discrete(5)

    def observation_space(self, params: EnvParams | None = None) -> Box:
        return Box(-jnp.inf, jnp.inf, (6,))

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Float[Array, " 6"], EnvState]:
        draws = self.draw(key, params)
        zero = jnp.zeros((), jnp.int32)
        enemy = jnp.zeros(2, jnp.int32)
        state = EnvState(zero, jnp.full((), self.rows // 2, jnp.int32), draws.resource, enemy, zero, zero, zero)
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Int[Array, ""], params: EnvParams
    ) -> tuple[Float[Array, " 6"], EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        action = self.as_action(action, params)
        state, reward = self.transition(state, action, self.draw(key, params), params)
        near, far = state.num_enemies.astype(jnp.float32), state.num_resources.astype(jnp.float32)
        time = state.time.astype(jnp.float32)
        score = params.reward_near * near + params.reward_far * far
        info = {"score": score, "near_rate": near / time, "far_rate": far / time}
        return self.get_obs(state, params), state, reward, jnp.zeros((), bool), info

    def draw(self, key: PRNGKeyArray, params: EnvParams) -> Draws:
        """Draw the random numbers of a step."""
        uniform_key, noise_key = jax.random.split(key)
        uniform = jax.random.uniform(uniform_key, (5,), jnp.float32)
        span = jnp.asarray(params.far_high - params.far_low + 1).astype(jnp.float32)
        distance = params.far_low + jnp.floor(uniform[0] * span).astype(jnp.int32)
        width = jnp.asarray(2 * params.near).astype(jnp.float32)
        along = jnp.floor(uniform[2] * width).astype(jnp.int32) - params.near
        along = jnp.where(along >= 0, along + 1, along)
        row = jnp.floor(uniform[3] * self.rows).astype(jnp.int32)
        return Draws(
            resource=jnp.where(uniform[1] < 0.5, distance, -distance),
            enemy=jnp.stack([along, row]),
            appears=uniform[4] < params.enemy_rate,
            noise=jax.random.normal(noise_key, (), jnp.float32),
        )

    def transition(
        self, state: EnvState, action: Int[Array, ""], draws: Draws, params: EnvParams
    ) -> tuple[EnvState, Float[Array, ""]]:
        """Apply the rules to given random draws and return (state, reward)."""
        move = jnp.asarray(_MOVES)[action]
        row = jnp.clip(state.row + move[1], 0, self.rows - 1)
        enemy = state.enemy - jnp.stack([move[0], row - state.row])
        caught = (state.enemy_time > 0) & jnp.all(enemy == 0)
        resource = state.resource - move[0]
        arrived = resource == 0

        time = jnp.where(caught, 0, jnp.maximum(state.enemy_time - 1, 0))
        appears = (state.enemy_time <= 0) & draws.appears
        after = EnvState(
            time=state.time + 1,
            row=row,
            resource=jnp.where(arrived, draws.resource, resource),
            enemy=jnp.where(appears, draws.enemy - jnp.stack([jnp.int32(0), row]), enemy),
            enemy_time=jnp.where(appears, params.enemy_time, time),
            num_enemies=state.num_enemies + caught.astype(jnp.int32),
            num_resources=state.num_resources + arrived.astype(jnp.int32),
        )
        reward = jnp.where(caught, params.reward_near, 0.0) + jnp.where(arrived, params.reward_far, 0.0)
        return after, reward + params.noise * draws.noise

    def get_obs(self, state: EnvState, params: EnvParams) -> Float[Array, " 6"]:
        present = state.enemy_time > 0
        span = self.rows - 1.0
        scale = jnp.stack([jnp.asarray(params.near).astype(jnp.float32), jnp.asarray(span)])
        enemy = jnp.where(present, state.enemy.astype(jnp.float32) / scale, 0.0)
        time = jnp.maximum(state.enemy_time, 0) / jnp.asarray(params.enemy_time, jnp.int32)
        rest = [
            state.row.astype(jnp.float32) / span,
            enemy[0],
            enemy[1],
            time,
            jnp.sign(state.resource).astype(jnp.float32),
            jnp.abs(state.resource) / jnp.asarray(params.far_high, jnp.int32),
        ]
        return jnp.stack(rest)
