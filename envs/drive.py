"""Drive: many vehicles on drawn roads, each with a goal of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from envs import drive_motion, drive_returns, drive_scenes
from envs.drive_motion import MAX_ACCELERATION, MAX_BRAKING, MAX_SPEED, MAX_STEER
from envs.drive_returns import RESPAWN_AT, RespawnAt
from envs.drive_state import EnvParams, EnvState, Outcome, bodies_of, goal_distance, goals, is_off_road
from envs.drive_views import OBS_SIZE, seen_bodies, seen_road, turned
from envs.environment import Box, Discrete, Environment
from p3o_jax.checks import check_at_least

STEERS = np.array([-0.6, -0.3, -0.1, 0.0, 0.1, 0.3, 0.6], np.float32)
ACCELERATIONS = np.array([-5.0, -2.0, 0.0, 3.0], np.float32)


@dataclass(frozen=True)
class Drive(Environment):
    """Drive many vehicles to their goals on roads with junctions, parked cars and pedestrians.

    Observation per vehicle (124 floats), in its own frame: x ahead, y to the left.
        8         speed / 15, goal x and y / 50, distance to the goal / 50, length / 5, width / 2, 1 if it is a ghost,
                  steps of the episode / 200
        8 x 8     the 8 nearest vehicles, parked cars and pedestrians within 40 m, nearest first: x and y / 40, cosine
                  and sine of the heading relative to its own, velocity relative to its own in x and y / 15, length / 5,
                  width / 2; 0 where there is none
        4 x 8     the 8 points in the middle of lanes that are nearest to the middle of its 8 m block: x and y / 40,
                  cosine and sine of the direction of travel there relative to its own
        20        distance to the road's edge / 8, negative off the road and at most 1 in magnitude, at 4, 8, 14 and
                  22 m in the directions -60, -25, 0, 25 and 60 degrees
    Actions: 4 * steer + acceleration, steer the index into (-.6, -.3, -.1, 0, .1, .3, .6) radians, positive to the
    left, and acceleration that into (-5, -2, 0, 3) m/s^2; continuous: steering angle / .6, and acceleration from -1
    (-5) over 0 (none) to 1 (3). A kinematic bicycle follows from them, with speeds from 0 to 15 m/s.
    Reward: 1 for the goal, -.5 for a collision, -.5 for leaving the road, .02 for each metre nearer to the goal.
    Terminates, per vehicle: at the goal, in a collision, off the road. It then comes back (`respawn`), or is gone until
    the episode of all ends. Truncates: after 200 steps of 0.1 s, or when no controlled vehicle is left.
    Score: 1 if the goal was reached. Solved: mean score of at least 0.95 with at most 0.02 collisions.
    `metrics` has goal, collision and off_road apart.
    Source: our own, after the goal-reaching driving tasks of GPUDrive and PufferLib.

    A vehicle that comes back on top of another one is a ghost until it is free: it touches nobody. Scenes are
    numbered: a seed and a number always give the same scene, whatever `num_scenes` is. Vehicles that are not controlled
    follow their routes by rules, and ignore their actions; they and those that are gone observe zeros, have no reward,
    are not counted and not learnt from (`info["controlled"]`).

    Args:
        num_vehicles: Places for vehicles in a scene.
        density: Share of the places that are taken.
        controlled: Share of the vehicles that actions control, at least one of them.
        num_parked: Parked cars.
        num_pedestrians: Pedestrians, who cross roads to and fro and look at nobody.
        respawn: Whether a vehicle comes back when its episode ends.
        respawn_at: "start": at its own start at once. "wait": there as soon as no vehicle is within the safe distance.
            "free": at the first such start of the scene, its own before others, with the route and goal from there; it
            waits while there is none.
        continuous: Whether the action is two floats.
        num_scenes: Number of scenes that episodes begin in.
        first_scene: Number of the first of them; others than a training's are held-out scenes.
        seed: Seed of the scenes.
        subset: If positive, episodes begin in that many scenes, drawn anew every `resample_every` steps.
        resample_every: Steps of training, of single agents, between two draws of the subset; 0 is never.
        reward_collision: Reward of a collision, for a training that fears it more; no rate depends on it.
        reward_off_road: The same for leaving the road.
        reward_progress: The same for each metre nearer to the goal.
    """

    num_vehicles: int = 64
    density: float = 1.0
    controlled: float = 1.0
    num_parked: int = 16
    num_pedestrians: int = 8
    respawn: bool = True
    respawn_at: RespawnAt = "free"
    continuous: bool = False
    num_scenes: int = 1000
    first_scene: int = 0
    seed: int = 0
    subset: int = 0
    resample_every: int = 0
    reward_collision: float = EnvParams.reward_collision
    reward_off_road: float = EnvParams.reward_off_road
    reward_progress: float = EnvParams.reward_progress

    metrics: ClassVar[tuple[str, ...]] = ("goal", "collision", "off_road")
    costly_reset: ClassVar[bool] = False

    def __post_init__(self):
        check_at_least(2, num_vehicles=self.num_vehicles)
        check_at_least(1, num_scenes=self.num_scenes)
        check_at_least(0, num_parked=self.num_parked, num_pedestrians=self.num_pedestrians, seed=self.seed)
        check_at_least(0, first_scene=self.first_scene, subset=self.subset, resample_every=self.resample_every)
        if self.respawn_at not in RESPAWN_AT:
            raise ValueError(f"`respawn_at` must be one of {', '.join(RESPAWN_AT)}; got {self.respawn_at!r}.")
        for field in ("density", "controlled"):
            if not 0 < getattr(self, field) <= 1:
                raise ValueError(f"`{field}` must be above 0 and at most 1; got {getattr(self, field)}.")

    @property
    def num_agents(self) -> int:
        return self.num_vehicles

    @property
    def num_present(self) -> int:
        """Vehicles in an episode: those of the first places."""
        return max(1, round(self.density * self.num_vehicles))

    @property
    def num_controlled(self) -> int:
        """Vehicles that actions control: the first ones."""
        return max(1, round(self.controlled * self.num_present))

    @property
    def default_params(self) -> EnvParams:
        numbers = (self.seed, self.first_scene, self.num_scenes)
        table = drive_scenes.scenes(*numbers, self.num_vehicles, self.num_parked, self.num_pedestrians)
        rewards = {name: getattr(self, name) for name in ("reward_collision", "reward_off_road", "reward_progress")}
        return EnvParams(scenes=jax.tree.map(jnp.asarray, table), **rewards)

    def params_at(self, params: EnvParams, num_updates: Int[Array, ""], steps_per_update: int) -> EnvParams:
        """Return the parameters after some updates of a training: another subset of the scenes every so often.

        The subset changes with the first update that begins after `resample_every` more steps.
        """
        if not self.resample_every:
            return params
        return params.replace(round=(num_updates // -(-self.resample_every // steps_per_update)).astype(jnp.int32))

    def action_space(self, params: EnvParams | None = None) -> Discrete | Box:
        return Box(-1.0, 1.0, (2,)) if self.continuous else Discrete(len(STEERS) * len(ACCELERATIONS))

    def observation_space(self, params: EnvParams | None = None) -> Box:
        return Box(-jnp.inf, jnp.inf, (OBS_SIZE,))

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Float[Array, "vehicles k"], EnvState]:
        state = self.start(self._draw_scene(key, params), params)
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Shaped[Array, "vehicles ..."], params: EnvParams
    ) -> tuple[
        Float[Array, "vehicles k"], EnvState, Float[Array, " vehicles"], Bool[Array, " vehicles"], dict[str, Any]
    ]:
        action = self.as_action(action, params)
        after, reward, outcome = self.transition(state, action, params)
        counted = state.there & self._is_controlled
        info = {"controlled": counted, "score": outcome.goal.astype(jnp.float32)}
        info |= {name: getattr(outcome, name).astype(jnp.float32) for name in self.metrics}
        return self.get_obs(after, params), after, jnp.where(counted, reward, 0.0), outcome.over & counted, info

    def start(self, scene: Int[Array, ""], params: EnvParams) -> EnvState:
        """Return the first state of an episode in the scene of that row."""
        there = self._is_present
        nobody, own = jnp.zeros(self.num_vehicles, bool), jnp.arange(self.num_vehicles, dtype=jnp.int32)
        return EnvState(jnp.zeros((), jnp.int32), scene, params.scenes.start[scene], there, nobody, own)

    def transition(
        self, state: EnvState, action: Shaped[Array, "vehicles ..."], params: EnvParams
    ) -> tuple[EnvState, Float[Array, " vehicles"], Outcome]:
        """Apply the rules, which have no randomness, and return (state, reward, outcome)."""
        table, scene = params.scenes, state.scene
        steer, acceleration = self.decode(action)
        if self.num_controlled < self.num_present:
            wish = self.rules(state, params)
            steer = jnp.where(self._is_controlled, steer, wish.steer)
            acceleration = jnp.where(self._is_controlled, acceleration, wish.acceleration)
        pose = drive_motion.bicycle(state.pose, table.size[scene][:, 0], steer, acceleration, params.dt)
        moved = state.replace(time=state.time + 1, pose=pose)

        bodies, vehicles = bodies_of(moved, params)
        touching = drive_motion.touching(bodies, vehicles)
        ghost = state.ghost & jnp.any(touching, axis=0)
        solid = jnp.concatenate([~ghost, jnp.ones(len(bodies.x) - self.num_vehicles, bool)])
        collision = jnp.any(touching & solid[:, None], axis=0) & ~ghost
        off_road = ~collision & state.there & is_off_road(vehicles, scene, params)
        before, now = (goal_distance(x, goals(state, params)) for x in (state.pose, pose))
        reached = ~collision & ~off_road & state.there & (now < params.goal_radius)
        outcome = Outcome(reached, collision, off_road)

        reward = params.reward_progress * (before - now)
        weights = (params.reward_goal, params.reward_collision, params.reward_off_road)
        reward += sum(weight * event.astype(jnp.float32) for weight, event in zip(weights, outcome, strict=True))
        return self._return(moved.replace(ghost=ghost), outcome, params), reward, outcome

    def _return(self, state: EnvState, outcome: Outcome, params: EnvParams) -> EnvState:
        """Take vehicles whose episode is over off the road, and let those that may come back."""
        start, over = params.scenes.start[state.scene], outcome.over
        there, may_return = state.there & ~over, ~self._is_controlled | self.respawn
        if self.respawn_at == "start":
            back, trip = over & may_return, state.trip
        else:
            gone = ~there & may_return & self._is_present
            others_too, place = self.respawn_at == "free", state.pose[:, :2]
            back, found = drive_returns.find_places(gone, there, place, start[:, :2], params.safe_distance, others_too)
            trip = jnp.where(back, found, state.trip)
        return state.replace(
            pose=jnp.where((over | back)[:, None], start[trip], state.pose),
            there=there | back,
            ghost=jnp.where(over | back, back, state.ghost),
            trip=trip,
        )

    def is_truncated(self, state: EnvState, params: EnvParams) -> Bool[Array, ""]:
        is_over = state.time >= params.max_steps_in_episode
        return is_over if self.respawn else is_over | ~jnp.any(state.there & self._is_controlled)

    def decode(
        self, action: Shaped[Array, "vehicles ..."]
    ) -> tuple[Float[Array, " vehicles"], Float[Array, " vehicles"]]:
        """Return the steering angle and the acceleration of an action."""
        if not self.continuous:
            steer, acceleration = jnp.divmod(action, len(ACCELERATIONS))
            return jnp.asarray(STEERS)[steer], jnp.asarray(ACCELERATIONS)[acceleration]
        action = jnp.clip(action, -1.0, 1.0)
        most = jnp.where(action[:, 1] > 0, MAX_ACCELERATION, MAX_BRAKING)
        return MAX_STEER * action[:, 0], most * action[:, 1]

    def rules(self, state: EnvState, params: EnvParams) -> drive_motion.Wish:
        """Return what a driver by rules would do in each vehicle."""
        bodies, vehicles = bodies_of(state, params)
        number = np.arange(len(bodies.x)) - self.num_vehicles
        still = jnp.asarray((number >= 0) & (number < self.num_parked))
        return drive_motion.follow_rules(bodies, vehicles, params.scenes.route[state.scene][state.trip], still)

    def get_obs(self, state: EnvState, params: EnvParams) -> Float[Array, "vehicles k"]:
        bodies, own = bodies_of(state, params)
        time = jnp.broadcast_to(state.time.astype(jnp.float32) / 200, own.x.shape)
        goal = goals(state, params)
        ahead, aside = turned(goal[:, 0] - own.x, goal[:, 1] - own.y, own)
        far = jnp.sqrt(ahead**2 + aside**2)
        ghost = state.ghost.astype(jnp.float32)
        rows = [own.speed / MAX_SPEED, ahead / 50, aside / 50, far / 50, own.length / 5, own.width / 2, ghost, time]
        rows += seen_bodies(bodies, own) + seen_road(own, state.scene, params.scenes)
        obs = jnp.concatenate([row.reshape(-1, self.num_vehicles) for row in rows]).T
        return jnp.where((state.there & self._is_controlled)[:, None], obs.astype(jnp.float32), 0.0)

    def _draw_scene(self, key: PRNGKeyArray, params: EnvParams) -> Int[Array, ""]:
        """Return the row of a random scene, of all or of the present subset."""
        if not self.subset:
            return jax.random.randint(key, (), 0, self.num_scenes, jnp.int32)
        member = jax.random.randint(key, (), 0, self.subset, jnp.int32)
        of_round = jax.random.fold_in(jax.random.key(self.seed), params.round)
        return jax.random.randint(jax.random.fold_in(of_round, member), (), 0, self.num_scenes, jnp.int32)

    @property
    def _is_present(self) -> Bool[Array, " vehicles"]:
        return jnp.arange(self.num_vehicles) < self.num_present

    @property
    def _is_controlled(self) -> Bool[Array, " vehicles"]:
        return jnp.arange(self.num_vehicles) < self.num_controlled
