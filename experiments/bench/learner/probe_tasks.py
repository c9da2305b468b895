"""Small tasks that each ask one question: is later noise left out, is a late reward found, is what is solved kept?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs import environment
from envs.environment import Box, Discrete, Environment

Step = tuple[Float[Array, " n"], Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]


class BanditState(environment.EnvState):
    """State of `Bandit`.

    Attributes:
        context: Which of the contexts is shown.
        stream: What the next reward holds whatever the action is.
        num_right: Right actions so far.
    """

    context: Int[Array, ""]
    stream: Float[Array, ""]
    num_right: Int[Array, ""]


@dataclass(frozen=True)
class Bandit(Environment):
    """Choose the one right action of the context shown, while a long random stream of rewards goes by.

    Observation: the context (one-hot of 16, drawn anew in each step), and the stream.
    Actions: 6; the right one is the context modulo 6.
    Reward: 0.3 for the right action, plus the stream, plus noise of standard deviation 0.5. The stream is an AR(1)
    process of unit variance with coefficient 0.95, on which actions have no influence.
    Truncates: after 64 steps. Score: the number of right actions, 64 / 6 by chance.
    Source: our own. Only the immediate reward depends on the action, so that everything later is noise.
    """

    costly_reset: ClassVar[bool] = True  # so that all streams are independent

    @property
    def default_params(self) -> environment.EnvParams:
        return environment.EnvParams(max_steps_in_episode=64)

    def action_space(self, params: Any = None) -> Discrete:
        return Discrete(6)

    def observation_space(self, params: Any = None) -> Box:
        return Box(-jnp.inf, jnp.inf, (17,))

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Float[Array, " 17"], BanditState]:
        context_key, stream_key = jax.random.split(key)
        context = jax.random.randint(context_key, (), 0, 16, jnp.int32)
        zero = jnp.zeros((), jnp.int32)
        state = BanditState(zero, context, jax.random.normal(stream_key, (), jnp.float32), zero)
        return self.get_obs(state, params), state

    def step_env(self, key: PRNGKeyArray, state: BanditState, action: Int[Array, ""], params: Any) -> Step:
        context_key, noise_key = jax.random.split(key)
        action = self.as_action(action, params)
        noise = jax.random.normal(noise_key, (2,), jnp.float32)
        right = action == state.context % 6
        reward = jnp.where(right, 0.3, 0.0) + state.stream + 0.5 * noise[0]
        state = BanditState(
            time=state.time + 1,
            context=jax.random.randint(context_key, (), 0, 16, jnp.int32),
            stream=0.95 * state.stream + (1 - 0.95**2) ** 0.5 * noise[1],
            num_right=state.num_right + right.astype(jnp.int32),
        )
        info = {"score": state.num_right.astype(jnp.float32)}
        return self.get_obs(state, params), state, reward, jnp.zeros((), bool), info

    def get_obs(self, state: BanditState, params: Any) -> Float[Array, " 17"]:
        return jnp.append(jax.nn.one_hot(state.context, 16, dtype=jnp.float32), state.stream)


class DelayState(environment.EnvState):
    """State of `Delay`.

    Attributes:
        context: Which of the contexts is shown.
        right: Whether the first action was right.
    """

    context: Int[Array, ""]
    right: Bool[Array, ""]


@dataclass(frozen=True)
class Delay(Environment):
    """Choose the right action in the first step; the reward for it comes fifty steps later.

    Observation: the context (one-hot of 6, drawn once per episode), the time / 52, whether the first action was right.
    Actions: 4; the right one is the context modulo 4. Only the first counts.
    Reward: 1 fifty steps after a right first action, plus noise of standard deviation 0.05 in every step.
    Truncates: after 52 steps. Score: 1 if the first action was right and 0 otherwise, 1/4 by chance.
    Source: our own.
    """

    delay: ClassVar[int] = 50
    costly_reset: ClassVar[bool] = True  # so that contexts are independent

    @property
    def default_params(self) -> environment.EnvParams:
        return environment.EnvParams(max_steps_in_episode=self.delay + 2)

    def action_space(self, params: Any = None) -> Discrete:
        return Discrete(4)

    def observation_space(self, params: Any = None) -> Box:
        return Box(0.0, 1.0, (8,))

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Float[Array, " 8"], DelayState]:
        context = jax.random.randint(key, (), 0, 6, jnp.int32)
        state = DelayState(jnp.zeros((), jnp.int32), context, jnp.zeros((), bool))
        return self.get_obs(state, params), state

    def step_env(self, key: PRNGKeyArray, state: DelayState, action: Int[Array, ""], params: Any) -> Step:
        action = self.as_action(action, params)
        right = jnp.where(state.time == 0, action == state.context % 4, state.right)
        paid = (state.time == self.delay) & right
        reward = paid.astype(jnp.float32) + 0.05 * jax.random.normal(key, (), jnp.float32)
        state = DelayState(state.time + 1, state.context, right)
        info = {"score": right.astype(jnp.float32)}
        return self.get_obs(state, params), state, reward, jnp.zeros((), bool), info

    def get_obs(self, state: DelayState, params: Any) -> Float[Array, " 8"]:
        time = state.time.astype(jnp.float32) / (self.delay + 2)
        rest = jnp.stack([time, state.right.astype(jnp.float32)])
        return jnp.concatenate([jax.nn.one_hot(state.context, 6, dtype=jnp.float32), rest])


class RoomState(environment.EnvState):
    """State of `Room`.

    Attributes:
        position: Row and column of the agent.
        direction: Where it looks: right, down, left, up.
    """

    position: Int[Array, "2"]
    direction: Int[Array, ""]


@dataclass(frozen=True)
class Room(Environment):
    """Walk from one corner of an empty room to the other: solved early, and then everything is alike.

    Observation: of each of 5 x 5 cells, the kind (1 floor, 2 wall, 8 goal, 10 agent), a colour and the agent's
    direction, as the numbers that they are.
    Actions: 7, namely turn left, turn right, step forward, and four that do nothing.
    Reward: 1 at the goal, where the episode terminates.
    Truncates: after 100 steps. Score: 1 at the goal and 0 otherwise.
    Source: Navix-Empty-5x5-v0, and MiniGrid's before it (Chevalier-Boisvert et al. 2023).
    """

    size: ClassVar[int] = 5

    @property
    def default_params(self) -> environment.EnvParams:
        return environment.EnvParams(max_steps_in_episode=100)

    def action_space(self, params: Any = None) -> Discrete:
        return Discrete(7)

    def observation_space(self, params: Any = None) -> Box:
        return Box(0.0, 10.0, (3 * self.size**2,))

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Float[Array, " 75"], RoomState]:
        zero = jnp.zeros((), jnp.int32)
        state = RoomState(zero, jnp.ones(2, jnp.int32), zero)
        return self.get_obs(state, params), state

    def step_env(self, key: PRNGKeyArray, state: RoomState, action: Int[Array, ""], params: Any) -> Step:
        action = self.as_action(action, params)
        turn = jnp.array([-1, 1, 0, 0, 0, 0, 0], jnp.int32)[action]
        ahead = jnp.array([[0, 1], [1, 0], [0, -1], [-1, 0]], jnp.int32)[state.direction]
        moved = jnp.clip(state.position + ahead, 1, self.size - 2)
        position = jnp.where(action == 2, moved, state.position)
        state = RoomState(state.time + 1, position, (state.direction + turn) % 4)
        arrived = jnp.all(position == self.size - 2)
        reward = arrived.astype(jnp.float32)
        return self.get_obs(state, params), state, reward, arrived, {"score": reward}

    def get_obs(self, state: RoomState, params: Any) -> Float[Array, " 75"]:
        index = jnp.arange(self.size, dtype=jnp.int32)
        is_edge = (index == 0) | (index == self.size - 1)
        wall = is_edge[:, None] | is_edge[None, :]
        corner = index == self.size - 2
        goal = corner[:, None] & corner[None, :]
        agent = (index == state.position[0])[:, None] & (index == state.position[1])[None, :]
        kind = jnp.select([agent, wall, goal], [10, 2, 8], 1)
        color = jnp.select([wall, goal], [5, 1], 0)
        return jnp.stack([kind, color, jnp.where(agent, state.direction, 0)], -1).astype(jnp.float32).reshape(-1)
