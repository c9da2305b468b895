"""Chambers: a continuous world with one reward, behind doors that random actions rarely find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs import environment
from envs.environment import Box, Environment
from p3o_jax.checks import check_at_least

MARGIN = 1e-3
"""A point that a wall stops is this far from it."""
GOAL_X = 0.7
"""How far into the last chamber the goal lies."""


class EnvState(environment.EnvState):
    """State of an episode. Chambers are squares with sides of length 1, in a row along x.

    Attributes:
        position: x and y of the agent.
        velocity: Length per step.
        gaps: Height of the middle of the door on the right of each chamber; of the last one, height of the goal.
        furthest: Index of the furthest chamber that the agent has been in.
    """

    position: Float[Array, " 2"]
    velocity: Float[Array, " 2"]
    gaps: Float[Array, " chambers"]
    furthest: Int[Array, ""]


class EnvParams(environment.EnvParams):
    """Lengths in sides of a chamber, times in steps.

    Attributes:
        door: Width of a door.
        goal_radius: Distance at which the goal is reached.
        push: Velocity that a full action adds in a step.
        damping: Share of the velocity that is left after a step.
        reward_goal: Reward at the goal.
    """

    max_steps_in_episode: int = 512
    door: float = 0.25
    goal_radius: float = 0.1
    push: float = 0.005
    damping: float = 0.9
    reward_goal: float = 1.0


@dataclass(frozen=True)
class Chambers(Environment):
    """Find the goal in the last of several chambers, through a narrow door from each to the next.

    Observation (6 floats):
        0, 1  x / num_chambers, y
        2, 3  velocity / largest velocity, in x and y
        4, 5  x and y from the agent to the door on the right of its chamber, and in the last one to the goal
    Actions (2 floats in [-1, 1]): push in x and y. The velocity becomes 0.9 times what it was plus 0.005 times the
    action, so that the largest is 0.05 a step. The agent moves in y and then in x; a wall stops the component.
    Reward: 1 at the goal, which ends the episode; nothing anywhere else.
    Terminates: at the goal. Truncates: after 512 steps.
    Score: 1 if the goal was reached. Solved: mean score of at least 0.95. `furthest` is the share of the chambers that
    the agent has been in.
    Start: at rest in the first chamber. Its place, the doors and the goal's height are drawn for each episode.
    Source: our own. Of episodes of uniformly random actions 48% reach the goal with one chamber, 1% with two, and none
    of 2048 did with three.

    Args:
        num_chambers: The difficulty: number of chambers, from 1 to 8.
        repeat: Steps that an action is kept for. Random actions that are kept for longer carry further.
    """

    num_chambers: int = 3
    repeat: int = 1

    metrics: ClassVar[tuple[str, ...]] = ("furthest",)

    def __post_init__(self):
        if not 1 <= self.num_chambers <= 8:
            raise ValueError(f"`num_chambers` must be from 1 to 8; got {self.num_chambers}.")
        check_at_least(1, repeat=self.repeat)

    @property
    def default_params(self) -> EnvParams:
        return EnvParams()

    def action_space(self, params: EnvParams | None = None) -> Box:
        return Box(-1.0, 1.0, (2,))

    def observation_space(self, params: EnvParams | None = None) -> Box:
        return Box(-jnp.inf, jnp.inf, (6,))

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Float[Array, " 6"], EnvState]:
        draws = jax.random.uniform(key, (2 + self.num_chambers,), jnp.float32)
        nowhere = params.door / 2
        state = EnvState(
            time=jnp.zeros((), jnp.int32),
            position=0.1 + 0.8 * draws[:2],
            velocity=jnp.zeros(2, jnp.float32),
            gaps=nowhere + (1.0 - params.door) * draws[2:],
            furthest=jnp.zeros((), jnp.int32),
        )
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Float[Array, " 2"], params: EnvParams
    ) -> tuple[Float[Array, " 6"], EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        action = self.as_action(action, params)
        state, reached = self._kept_up(state, action, params)
        score = reached.astype(jnp.float32)
        info = {"score": score, "furthest": (state.furthest + 1).astype(jnp.float32) / self.num_chambers}
        return self.get_obs(state, params), state, params.reward_goal * score, reached, info

    def _kept_up(
        self, state: EnvState, action: Float[Array, " 2"], params: EnvParams
    ) -> tuple[EnvState, Bool[Array, ""]]:
        """Keep an action up for `repeat` steps, or until the goal is reached or the time is over."""

        def again(_: Any, carry: tuple[EnvState, Bool[Array, ""]]) -> tuple[EnvState, Bool[Array, ""]]:
            state, reached = carry
            over = reached | self.is_truncated(state, params)
            after, now = self.transition(state, action, params)
            return environment.select(over, state, after), reached | (now & ~over)

        return jax.lax.fori_loop(0, self.repeat, again, (state, jnp.zeros((), bool)))

    def transition(
        self, state: EnvState, action: Float[Array, " 2"], params: EnvParams
    ) -> tuple[EnvState, Bool[Array, ""]]:
        """Apply the rules, which have no randomness, and return (state, whether the goal was reached)."""
        velocity = params.damping * state.velocity + params.push * jnp.clip(action, -1.0, 1.0)
        wished = state.position + velocity
        y = jnp.clip(wished[1], MARGIN, 1.0 - MARGIN)
        left = self.chamber(state).astype(jnp.float32)
        through_right, through_left = self._is_open(state, y, left + 1, params), self._is_open(state, y, left, params)
        low = jnp.where(through_left, left - 1, left) + MARGIN
        high = jnp.where(through_right, left + 2, left + 1) - MARGIN
        position = jnp.stack([jnp.clip(wished[0], low, high), y])
        moved = state.replace(
            time=state.time + 1,
            position=position,
            velocity=jnp.where(position == wished, velocity, 0.0),
        )
        chamber = self.chamber(moved)
        moved = moved.replace(furthest=jnp.maximum(state.furthest, chamber))
        distance = jnp.linalg.norm(self.target(moved) - position)
        return moved, (chamber == self.num_chambers - 1) & (distance < params.goal_radius)

    def chamber(self, state: EnvState) -> Int[Array, ""]:
        """Return the index of the chamber that the agent is in."""
        return jnp.clip(jnp.floor(state.position[0]).astype(jnp.int32), 0, self.num_chambers - 1)

    def target(self, state: EnvState) -> Float[Array, " 2"]:
        """Return the door on the right of the agent's chamber, or the goal."""
        chamber = self.chamber(state)
        into = jnp.where(chamber == self.num_chambers - 1, GOAL_X, 1.0)
        return jnp.stack([chamber.astype(jnp.float32) + into, state.gaps[chamber]])

    def get_obs(self, state: EnvState, params: EnvParams) -> Float[Array, " 6"]:
        place = state.position / jnp.array([self.num_chambers, 1.0], jnp.float32)
        speed = state.velocity * (1.0 - params.damping) / params.push
        return jnp.concatenate([place, speed, self.target(state) - state.position])

    def _is_open(
        self, state: EnvState, y: Float[Array, ""], wall: Float[Array, ""], params: EnvParams
    ) -> Bool[Array, ""]:
        """Return whether one at height y can pass the wall at that x."""
        number = wall.astype(jnp.int32) - 1
        inner = (number >= 0) & (number < self.num_chambers - 1)
        return inner & (jnp.abs(y - state.gaps[jnp.clip(number, 0, self.num_chambers - 1)]) < params.door / 2)
