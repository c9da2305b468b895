"""What an episode of drive carries, and where everybody is in it."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from envs import environment
from envs.drive_motion import Bodies
from envs.drive_scenes import Scenes
from envs.drive_views import pedestrians, road_distance


class EnvState(environment.EnvState):
    """State of an episode.

    Attributes:
        scene: Row of the scene in the table.
        pose: Of every vehicle: x, y, heading, speed.
        there: Whether each vehicle is on the road; one that was removed, or waits to come back, is not.
        ghost: Whether it has come back and not been free of the others since: until then it touches nobody.
        trip: Number of its start, route and goal in the scene.
    """

    scene: Int[Array, ""]
    pose: Float[Array, "vehicles 4"]
    there: Bool[Array, " vehicles"]
    ghost: Bool[Array, " vehicles"]
    trip: Int[Array, " vehicles"]


class EnvParams(environment.EnvParams):
    """The table of scenes, which all environments share, and numbers.

    Attributes:
        scenes: The table.
        round: Number of the subset of scenes that episodes begin in; used with `subset` only.
        dt: Seconds of a step.
        goal_radius: Distance at which a goal is reached, metres.
        safe_distance: No vehicle comes back within this distance of another one, metres; not used with "start".
        reward_goal: For reaching the goal.
        reward_collision: For touching a vehicle, a parked car or a pedestrian.
        reward_off_road: For leaving the road with a corner.
        reward_progress: For each metre by which the straight distance to the goal shrinks.
    """

    max_steps_in_episode: int = 200
    scenes: Scenes = None  # pyright: ignore[reportAssignmentType]
    round: int = 0
    dt: float = 0.1
    goal_radius: float = 2.5
    safe_distance: float = 10.0
    reward_goal: float = 1.0
    reward_collision: float = -0.5
    reward_off_road: float = -0.5
    reward_progress: float = 0.02


class Outcome(NamedTuple):
    """How the step ended the episode of each vehicle; at most one is true."""

    goal: Bool[Array, " vehicles"]
    collision: Bool[Array, " vehicles"]
    off_road: Bool[Array, " vehicles"]

    @property
    def over(self) -> Bool[Array, " vehicles"]:
        return self.goal | self.collision | self.off_road


def bodies_of(state: EnvState, params: EnvParams) -> tuple[Bodies, Bodies]:
    """Return everybody (vehicles, parked cars, pedestrians, in this order), and the vehicles alone."""
    table, scene = params.scenes, state.scene
    x, y, heading, speed = state.pose.T
    length, width = table.size[scene].T
    vehicles = Bodies(x, y, jnp.cos(heading), jnp.sin(heading), speed, length, width, state.there)
    px, py, facing, parked_length, parked_width = table.parked[scene].T
    still = jnp.zeros_like(px)
    parked = Bodies(px, py, jnp.cos(facing), jnp.sin(facing), still, parked_length, parked_width, still == 0)
    walking = pedestrians(table.walk[scene], state.time.astype(jnp.float32) * params.dt)
    return Bodies(*(jnp.concatenate(parts) for parts in zip(vehicles, parked, walking, strict=True))), vehicles


def goals(state: EnvState, params: EnvParams) -> Float[Array, "vehicles 2"]:
    """Return where each vehicle is to go: the end of its route."""
    return params.scenes.route[state.scene, state.trip, -1]


def is_off_road(own: Bodies, scene: Int[Array, ""], params: EnvParams) -> Bool[Array, " vehicles"]:
    """Return whether a corner of the vehicle is off the road."""
    ends, sides = np.array([[1], [1], [-1], [-1]], np.float32), np.array([[1], [-1], [1], [-1]], np.float32)
    along, across = ends * own.length[None] / 2, sides * own.width[None] / 2
    x = own.x[None] + along * own.cos[None] - across * own.sin[None]
    y = own.y[None] + along * own.sin[None] + across * own.cos[None]
    return jnp.any(road_distance(x, y, scene, params.scenes) < 0, axis=0)


def goal_distance(pose: Float[Array, "vehicles 4"], goal: Float[Array, "vehicles 2"]) -> Float[Array, " vehicles"]:
    """Return how far each vehicle is from its goal, as the crow flies, metres."""
    return jnp.hypot(goal[:, 0] - pose[:, 0], goal[:, 1] - pose[:, 1])
