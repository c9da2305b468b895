"""Agar: players grow by eating food and smaller players."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from envs import environment
from envs.environment import Box, Discrete, Environment
from p3o_jax.checks import check_at_least


class EnvState(environment.EnvState):
    """State of an episode. Positions are in units of length; their last axis is x, y."""

    position: Float[Array, "players 2"]
    mass: Float[Array, " players"]
    food: Float[Array, "food 2"]


class EnvParams(environment.EnvParams):
    """Lengths, masses and rewards. The radius of a player is the square root of its mass.

    Attributes:
        field: Side of the square field.
        start_mass: Mass of a player after a respawn.
        food_mass: Mass that one piece of food adds.
        max_speed: Largest speed of a player of the start mass, in length per step.
        slowdown: The largest speed is proportional to mass to the power of minus this number.
        decay: Fraction of the mass above the start mass that is lost per step.
        edible: A player can eat another whose mass is at most this fraction of its own.
        reward_food: Reward for one piece of food.
        reward_eaten: Reward for being eaten.
    """

    max_steps_in_episode: int = 1000
    field: float = 160.0
    start_mass: float = 9.0
    food_mass: float = 1.0
    max_speed: float = 2.0
    slowdown: float = 0.4
    decay: float = 0.002
    edible: float = 0.8
    reward_food: float = 0.1
    reward_eaten: float = -1.0


class Draws(NamedTuple):
    """Random draws of a step: where eaten players and eaten food reappear, as fractions of the field."""

    players: Float[Array, "players 2"]
    food: Float[Array, "food 2"]


@dataclass(frozen=True)
class Agar(Environment):
    """Grow by eating food and smaller players, and keep away from larger ones.

    Observation per player (floats):
        3                      own x and y / field, mass / 100
        3 (num_players - 1)    every other player, nearest first: dx, dy / field, mass / own mass (at most 10)
        2 seen_food            the nearest food, nearest first: dx, dy / field
    Actions: 0 stay, 1..8 full throttle at multiples of 45 degrees from +x; continuous (2 floats in [-1, 1]):
    heading / pi and throttle from -1 (stop) to 1 (full).
    Reward: 0.1 per food; eating a player: its mass as a share of one's own; being eaten: -1.
    Terminates, per player: when eaten; it respawns with the start mass. Truncates: after 1000 steps.
    Score: mass at the end of the episode.
    Rules: a player eats food if it covers its point, and another player if it covers its centre and the other has at
    most 80% of its mass. If several players could eat the same thing, the heaviest of them eats it. A player that is
    eaten in a step eats no other player in that step. Mass decays slowly.
    Source: our own, after the game.

    Distances of all pairs are computed, which is faster at these sizes than a search by neighbourhoods.

    Args:
        num_players: Number of players. All of them are agents; a single one, who only eats food, has no axis of agents.
        num_food: Number of pieces of food, which is kept constant.
        seen_food: Number of pieces of food in the observation.
        continuous: Whether the action is heading and throttle.
    """

    num_players: int = 16
    num_food: int = 128
    seen_food: int = 8
    continuous: bool = True

    costly_reset: ClassVar[bool] = True

    def __post_init__(self):
        check_at_least(1, num_players=self.num_players)
        if not 1 <= self.seen_food <= self.num_food:
            raise ValueError(f"`seen_food` must be from 1 to `num_food`; got {self.seen_food} and {self.num_food}.")

    @property
    def num_agents(self) -> int:
        return self.num_players

    @property
    def default_params(self) -> EnvParams:
        return EnvParams()

    def action_space(self, params: EnvParams | None = None) -> Discrete | Box:
        return Box(-1.0, 1.0, (2,)) if self.continuous else Discrete(9)

    def observation_space(self, params: EnvParams | None = None) -> Box:
        return Box(-jnp.inf, jnp.inf, (3 * self.num_players + 2 * self.seen_food,))

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Float[Array, "*players k"], EnvState]:
        draws = self.draw(key)
        mass = jnp.full(self.num_players, params.start_mass, jnp.float32)
        time = jnp.zeros((), jnp.int32)
        state = EnvState(time, draws.players * params.field, mass, draws.food * params.field)
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Shaped[Array, "..."], params: EnvParams
    ) -> tuple[Float[Array, "*players k"], EnvState, Float[Array, "*players"], Bool[Array, "*players"], dict[str, Any]]:
        action = self.as_action(action, params)
        action = action if self.num_players > 1 else action[None]
        after, reward, eaten = self.transition(state, action, self.draw(key), params)
        score = jnp.where(eaten, state.mass, after.mass)
        reward, eaten, score = (self._by_agent(x) for x in (reward, eaten, score))
        return self.get_obs(after, params), after, reward, eaten, {"score": score}

    def draw(self, key: PRNGKeyArray) -> Draws:
        """Draw the random numbers of a step."""
        draws = jax.random.uniform(key, (self.num_players + self.num_food, 2), jnp.float32)
        return Draws(draws[: self.num_players], draws[self.num_players :])

    def transition(
        self, state: EnvState, action: Shaped[Array, "players ..."], draws: Draws, params: EnvParams
    ) -> tuple[EnvState, Float[Array, " players"], Bool[Array, " players"]]:
        """Apply the rules to given random draws and return (state, reward, eaten)."""
        speed = params.max_speed * (state.mass / params.start_mass) ** -params.slowdown
        position = state.position + speed[:, None] * self._direction(action)
        position = jnp.clip(position, 0.0, params.field)

        covers_food = _distance(position, state.food) < jnp.sqrt(state.mass)[:, None]
        food_eater = _heaviest(covers_food, state.mass)
        num_food = jnp.sum(food_eater, axis=1).astype(jnp.float32)
        food = jnp.where(jnp.any(food_eater, axis=0)[:, None], draws.food * params.field, state.food)

        edible = state.mass[None] <= params.edible * state.mass[:, None]
        covers = edible & (_distance(position, position) < jnp.sqrt(state.mass)[:, None])
        eater = _heaviest(covers & ~jnp.any(covers, axis=0)[:, None], state.mass)
        eaten = jnp.any(eater, axis=0)
        prey = jnp.where(eater, state.mass[None], 0.0).sum(axis=1)

        reward = params.reward_food * num_food + prey / state.mass
        kept = params.start_mass + (state.mass - params.start_mass) * (1.0 - params.decay)
        mass = kept + params.food_mass * num_food + prey
        after = EnvState(
            state.time + 1,
            jnp.where(eaten[:, None], draws.players * params.field, position),
            jnp.where(eaten, params.start_mass, mass),
            food,
        )
        return after, jnp.where(eaten, params.reward_eaten, reward), eaten

    def get_obs(self, state: EnvState, params: EnvParams) -> Float[Array, "*players k"]:
        own = jnp.concatenate([state.position / params.field, state.mass[:, None] / 100.0], axis=1)

        def view(position, mass, index):
            distance = jnp.sum((state.position - position[None]) ** 2, axis=1)
            distance = jnp.where(jnp.arange(self.num_players) == index, jnp.inf, distance)
            others = jax.lax.top_k(-distance, self.num_players - 1)[1]
            offset = (state.position[others] - position[None]) / params.field
            ratio = jnp.minimum(state.mass[others] / mass, 10.0)
            seen = jax.lax.top_k(-jnp.sum((state.food - position[None]) ** 2, axis=1), self.seen_food)[1]
            food = (state.food[seen] - position[None]) / params.field
            return jnp.concatenate([offset, ratio[:, None]], axis=1).reshape(-1), food.reshape(-1)

        players, food = jax.vmap(view)(state.position, state.mass, jnp.arange(self.num_players))
        return self._by_agent(jnp.concatenate([own, players, food], axis=1))

    def _by_agent(self, x: Shaped[Array, "players ..."]) -> Shaped[Array, "..."]:
        """Return `x` without the axis of agents where there is only one."""
        return x if self.num_players > 1 else x[0]

    def _direction(self, action: Shaped[Array, "players ..."]) -> Float[Array, "players 2"]:
        """Return the unit vector of the heading times the throttle."""
        if self.continuous:
            action = jnp.clip(action, -1.0, 1.0)
            angle, throttle = jnp.pi * action[:, 0], (action[:, 1] + 1) / 2
        else:
            angle = (action - 1).astype(jnp.float32) * (jnp.pi / 4)
            throttle = (action > 0).astype(jnp.float32)
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1) * throttle[:, None]


def _distance(x: Float[Array, "n 2"], y: Float[Array, "m 2"]) -> Float[Array, "n m"]:
    return jnp.hypot(x[:, None, 0] - y[None, :, 0], x[:, None, 1] - y[None, :, 1])


def _heaviest(candidate: Bool[Array, "n m"], mass: Float[Array, " n"]) -> Bool[Array, "n m"]:
    """Mark the heaviest candidate of each column, the first of several equal ones."""
    weight = jnp.where(candidate, mass[:, None], -jnp.inf)
    best = jnp.argmax(weight, axis=0)
    return candidate & (jnp.arange(len(mass))[:, None] == best[None])
