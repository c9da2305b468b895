"""Drive: scenes are numbered, vehicles move like bicycles, touch like rectangles, and end as the arguments say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import drive_motion, drive_state, make
from envs.drive import STEERS
from envs.drive_motion import Bodies
from envs.drive_returns import find_places
from envs.drive_roads import draw_roads
from envs.drive_scenes import ROUTE_POINTS, ROUTE_SPACING, scenes
from envs.drive_views import OBS_SIZE, road_distance
from envs.players import scripted
from p3o_jax.vector import VectorEnvironment

SMALL = {"num_vehicles": 6, "num_scenes": 4}


def bodies(*rows):
    """Rectangles from rows of x, y, heading, length, width."""
    x, y, heading, length, width = jnp.asarray(rows, jnp.float32).T
    return Bodies(x, y, jnp.cos(heading), jnp.sin(heading), jnp.zeros_like(x), length, width, x == x)


def corners(row):
    x, y, heading, length, width = row
    turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
    return np.array([[length, width], [length, -width], [-length, -width], [-length, width]]) / 2 @ turn.T + [x, y]


def overlap_by_points(a, b):
    """Whether one of many points of one rectangle lies in the other: a second way to the same answer."""
    t = np.linspace(0, 1, 61)
    box = corners(a)
    grid = box[0] + t[:, None, None] * (box[1] - box[0]) + t[None, :, None] * (box[3] - box[0])
    dx, dy = grid[..., 0] - b[0], grid[..., 1] - b[1]
    ahead, aside = dx * np.cos(b[2]) + dy * np.sin(b[2]), dy * np.cos(b[2]) - dx * np.sin(b[2])
    return bool(np.any((np.abs(ahead) <= b[3] / 2) & (np.abs(aside) <= b[4] / 2)))


def test_a_scene_depends_on_seed_and_number_alone():
    alone, among = scenes(3, 2, 1, 8, 4, 2), scenes(3, 0, 4, 8, 4, 2)
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[0], y[2]), alone, among)
    other = scenes(4, 2, 1, 8, 4, 2)
    assert not np.array_equal(other.start, alone.start)
    assert not np.array_equal(among.start[0], among.start[1])


def test_all_junctions_can_be_reached():
    for seed in range(20):
        lanes = draw_roads(np.random.default_rng(seed)).lanes
        reached = {0}
        for _ in range(16):
            reached |= {lane.end for lane in lanes if lane.begin in reached}
        assert reached == set(range(16))


def test_routes_start_at_the_vehicle_stay_on_the_road_and_end_at_the_goal():
    env = make("drive", num_scenes=8)
    params = env.default_params
    for scene in range(8):
        route = np.asarray(params.scenes.route[scene])
        np.testing.assert_allclose(route[:, 0], params.scenes.start[scene][:, :2], atol=1e-5)
        inside = road_distance(*jnp.moveaxis(jnp.asarray(route), -1, 0), jnp.int32(scene), params.scenes)
        assert np.min(inside) > 1.0
        steps = np.linalg.norm(np.diff(route, axis=1), axis=-1)
        assert np.all(((steps > 3.4) & (steps < ROUTE_SPACING + 1e-3)) | (steps == 0))  # a chord of a sharp turn
        assert route.shape[1] == ROUTE_POINTS
        assert np.all(np.sum(steps > 0, axis=1) * ROUTE_SPACING >= 19.9)


def test_nobody_begins_in_a_collision_or_off_the_road():
    env = make("drive", num_scenes=16)
    params = env.default_params

    def begin(scene):
        everybody, own = drive_state.bodies_of(env.start(scene, params), params)
        return drive_motion.touching(everybody, own), drive_state.is_off_road(own, scene, params)

    touching, off = jax.jit(jax.vmap(begin))(jnp.arange(16))
    assert not touching.any()
    assert not off.any()


def test_rectangles_touch_where_a_search_over_points_says_so():
    rng = np.random.default_rng(0)
    rows = np.stack(
        [*rng.uniform(0, 8, (2, 24)), rng.uniform(-3, 3, 24), rng.uniform(2, 5, 24), rng.uniform(1, 2, 24)], axis=1
    )
    found = np.asarray(drive_motion.touching(bodies(*rows), bodies(*rows)))
    expected = np.array([[overlap_by_points(a, b) or overlap_by_points(b, a) for b in rows] for a in rows]) & ~np.eye(
        len(rows), dtype=bool
    )
    np.testing.assert_array_equal(found, expected)
    assert 0.1 < expected.mean() < 0.9


def test_the_nearest_are_those_of_a_sort():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 60, (2, 30))
    everybody = bodies(*np.stack([*x, np.zeros(30), np.ones(30), np.ones(30)], axis=1))
    own = jax.tree.map(lambda v: v[:10], everybody)
    index, seen = drive_motion.nearest(everybody, own, 5, 40.0)
    distance = np.linalg.norm(x[:, :, None] - x[:, None, :10], axis=0)
    np.fill_diagonal(distance, np.inf)
    expected = np.argsort(distance, axis=0)[:5]
    np.testing.assert_array_equal(seen, np.take_along_axis(distance, expected, axis=0) < 40)
    np.testing.assert_array_equal(np.where(seen, index, -1), np.where(seen, expected, -1))


def test_a_steered_vehicle_drives_the_circle_of_its_bicycle():
    """Slip angle beta = arctan(tan(steer) / 2), radius = half the axle distance / sin(beta)."""
    pose, length, steer = jnp.array([[0.0, 0.0, 0.0, 5.0]]), jnp.array([4.0]), jnp.array([0.4])
    for _ in range(200):
        pose = drive_motion.bicycle(pose, length, steer, jnp.zeros(1), 0.001)
    slip = np.arctan(np.tan(0.4) / 2)
    radius = 0.3 * 4.0 / np.sin(slip)
    turned = 5.0 * 0.2 / radius
    np.testing.assert_allclose(pose[0, 2], turned, rtol=1e-3)
    chord = 2 * radius * np.sin(turned / 2)
    along = chord * np.array([np.cos(turned / 2 + slip), np.sin(turned / 2 + slip)])
    np.testing.assert_allclose(pose[0, :2], along, rtol=2e-3, atol=2e-3)  # of Euler steps of a millisecond
    assert drive_motion.bicycle(pose, length, steer, jnp.array([-1e3]), 1.0)[0, 3] == 0


def placed(env, params, scene=0, **poses):
    """The first state of a scene, with some vehicles elsewhere: v0=(x, y, heading, speed)."""
    state = env.start(jnp.int32(scene), params)
    pose = state.pose
    for name, row in poses.items():
        pose = pose.at[int(name[1:])].set(jnp.asarray(row, jnp.float32))
    return state.replace(pose=pose)


STRAIGHT = 4 * int(np.flatnonzero(STEERS == 0)[0]) + 2


def coast(env, params, state):
    return jax.jit(env.transition)(state, jnp.full(env.num_vehicles, STRAIGHT, jnp.int32), params)


@pytest.mark.parametrize("respawn", [True, False])
def test_goal_collision_and_off_road_pay_their_coefficients_and_end_the_episode(respawn):
    env = make("drive", **SMALL, num_parked=0, num_pedestrians=0, respawn=respawn)
    params = env.default_params.replace(
        reward_goal=3.0, reward_collision=-5.0, reward_off_road=-7.0, reward_progress=0.0
    )
    goal, start = params.scenes.route[0, 0, -1], params.scenes.start[0]
    state = placed(env, params, v0=(*goal, 0, 0), v1=start[2], v3=(1.0, 1.0, 0, 0))
    after, reward, outcome = coast(env, params, state)
    np.testing.assert_array_equal(outcome.goal, [1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(outcome.collision, [0, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(outcome.off_road, [0, 0, 0, 1, 0, 0])
    np.testing.assert_allclose(reward, [3, -5, -5, -7, 0, 0])
    np.testing.assert_array_equal(after.there, [respawn] * 4 + [True] * 2)
    if respawn:
        np.testing.assert_allclose(after.pose[:4], start[:4])
        assert after.ghost[:4].all()
        assert not coast(env, params, after)[2].over[:4].any()


def test_progress_pays_by_the_metre():
    env = make("drive", **SMALL, num_parked=0, num_pedestrians=0)
    params = env.default_params.replace(reward_progress=0.5)
    state = env.start(jnp.int32(0), params)
    after, reward, outcome = coast(env, params, state)
    goal = params.scenes.route[0, :, -1]
    nearer = np.linalg.norm(goal - state.pose[:, :2], axis=1) - np.linalg.norm(goal - after.pose[:, :2], axis=1)
    assert not outcome.over.any()
    np.testing.assert_allclose(reward, 0.5 * nearer, atol=1e-4)


def test_a_ghost_becomes_solid_when_it_is_free():
    env = make("drive", **SMALL, num_parked=0, num_pedestrians=0)
    params = env.default_params
    start = params.scenes.start[0]
    state = placed(env, params, v1=start[0]).replace(ghost=jnp.arange(6) == 1)
    after, _, outcome = coast(env, params, state)
    assert not outcome.collision.any()
    np.testing.assert_array_equal(after.ghost, np.arange(6) == 1)
    free = after.replace(pose=params.scenes.start[0])
    assert not coast(env, params, free)[0].ghost.any()


def test_others_are_seen_where_they_are_and_as_they_move_relative_to_oneself():
    env = make("drive", num_vehicles=2, num_scenes=1, num_parked=0, num_pedestrians=0)
    params = env.default_params
    state = placed(env, params, v0=(100, 100, np.pi / 2, 6), v1=(110, 120, np.pi, 9))  # northwards, and to the west
    seen = np.asarray(env.get_obs(state, params))[:, 8 : 8 + 8 * 8].reshape(2, 8, 8)[:, :6, 0]
    np.testing.assert_allclose(seen[0], [20 / 40, -10 / 40, 0, 1, -6 / 15, 9 / 15], atol=1e-6)
    np.testing.assert_allclose(seen[1], [10 / 40, 20 / 40, 0, -1, -9 / 15, -6 / 15], atol=1e-6)


def test_rewards_are_as_the_arguments_say():
    params = make("drive", **SMALL, reward_collision=-2.0, reward_off_road=-3.0, reward_progress=0.5).default_params
    assert (params.reward_collision, params.reward_off_road, params.reward_progress) == (-2.0, -3.0, 0.5)
    assert make("drive", **SMALL).default_params.reward_collision == -0.5


def test_density_and_control_are_masks():
    env = make("drive", num_vehicles=10, num_scenes=2, density=0.8, controlled=0.5)
    params = env.default_params
    obs, state = jax.jit(env.reset_env)(jax.random.key(0), params)
    step = jax.jit(env.step_env)
    np.testing.assert_array_equal(state.there, np.arange(10) < 8)
    assert (np.any(np.asarray(obs) != 0, axis=1) == (np.arange(10) < 4)).all()
    hard_left = jnp.zeros(10, jnp.int32)
    driven = step(jax.random.key(0), state, hard_left, params)
    straight = step(jax.random.key(0), state, jnp.full(10, STRAIGHT, jnp.int32), params)
    np.testing.assert_array_equal(driven[4]["controlled"], np.arange(10) < 4)
    np.testing.assert_array_equal(driven[1].pose[4:8], straight[1].pose[4:8])
    assert np.all(np.any(np.asarray(driven[1].pose != straight[1].pose)[:4], axis=1))
    np.testing.assert_array_equal(driven[2][4:], 0.0)


def test_an_episode_of_removed_vehicles_ends_early():
    env = make("drive", **SMALL, respawn=False)
    params = env.default_params
    state = env.start(jnp.int32(0), params)
    assert not env.is_truncated(state, params)
    assert env.is_truncated(state.replace(there=jnp.zeros(6, bool)), params)


def test_scenes_are_all_or_a_subset_that_changes_with_the_steps():
    def seen(env, params):
        draw = jax.jit(jax.vmap(env._draw_scene, in_axes=(0, None)))
        return set(np.asarray(draw(jax.random.split(jax.random.key(0), 400), params)).tolist())

    env = make("drive", num_vehicles=2, num_scenes=12)
    assert seen(env, env.default_params) == set(range(12))
    few = dataclasses.replace(env, subset=3, resample_every=1000)
    params = few.default_params
    rounds = [seen(few, few.params_at(params, jnp.int32(update), 300)) for update in (0, 3, 4, 8)]
    assert rounds[0] == rounds[1]
    assert all(1 <= len(members) <= 3 for members in rounds)
    assert len({tuple(sorted(members)) for members in rounds}) == 3


def first_episodes(policy_name, num_scenes=16):
    """Outcomes of the first episode of every vehicle, one copy for each scene."""
    env = make("drive", num_scenes=num_scenes, respawn=False)
    params = env.default_params
    policy = scripted(env) if policy_name == "scripted" else None
    sample = jax.vmap(env.action_space().sample)

    def body(state, key):
        keys = jax.random.split(key, env.num_vehicles)
        action = policy(key, state, params) if policy else sample(keys)
        _, after, _, _, info = env.step_env(key, state, action, params)
        return after, [jnp.where(info["controlled"], info[name], 0.0) for name in env.metrics]

    def play(scene):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), scene), 200)
        return [jnp.max(x, axis=0) for x in jax.lax.scan(body, env.start(scene, params), keys)[1]]

    return dict(zip(env.metrics, map(np.mean, jax.jit(jax.vmap(play))(jnp.arange(num_scenes))), strict=True))


def test_the_scripted_player_reaches_far_more_goals_than_a_random_one():
    ruled, random = first_episodes("scripted"), first_episodes("random")
    assert ruled["goal"] > 0.5 > 0.05 > random["goal"]
    assert ruled["collision"] + ruled["off_road"] < random["collision"] + random["off_road"]


def test_episodes_of_vehicles_that_nobody_controls_are_not_counted():
    env = make("drive", **SMALL, controlled=0.5)
    vector, params = VectorEnvironment(env, 2), env.default_params.replace(max_steps_in_episode=5)
    obs, state = vector.reset(jax.random.key(0), params)
    assert obs.shape == (12, OBS_SIZE)
    for t in range(5):
        _, state, _, terminated, truncated, info = vector.step(
            jax.random.key(t), state, jnp.full(12, STRAIGHT, jnp.int32), params
        )
    assert truncated.all()
    np.testing.assert_array_equal(info["done"], np.tile(np.arange(6) < 3, 2))
    assert not terminated[3:6].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_vehicles": 1}, "`num_vehicles` must be at least 2; got 1"),
        ({"density": 0.0}, "`density` must be above 0 and at most 1; got 0.0"),
        ({"controlled": 1.5}, "`controlled` must be above 0 and at most 1; got 1.5"),
        ({"num_scenes": 0}, "`num_scenes` must be at least 1; got 0"),
        ({"subset": -1}, "`subset` must be at least 0; got -1"),
        ({"respawn_at": "home"}, "`respawn_at` must be one of start, wait, free; got 'home'"),
    ],
)
def test_impossible_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make("drive", **arguments)


def test_more_vehicles_than_there_is_room_for_are_refused():
    with pytest.raises(ValueError, match="`num_vehicles` must fit on the roads of a scene; got 2000"):
        _ = make("drive", num_vehicles=2000, num_scenes=1).default_params


def test_a_vehicle_comes_back_at_its_own_start_if_nobody_is_near_it():
    for at in ("wait", "free"):
        env = make("drive", **SMALL, num_parked=0, num_pedestrians=0, respawn_at=at)
        params = env.default_params.replace(safe_distance=1.0)
        meeting = params.scenes.route[0, 3, -1]
        after = coast(env, params, placed(env, params, v1=(*meeting, 0, 0), v2=(*meeting, 0, 0)))[0]
        np.testing.assert_array_equal(after.trip, np.arange(6))
        np.testing.assert_allclose(after.pose[1:3], params.scenes.start[0, 1:3])
        assert after.there.all()


def test_where_somebody_stands_on_its_start_a_vehicle_waits_or_takes_the_next_free_one():
    for at in ("wait", "free"):
        env = make("drive", num_vehicles=6, num_scenes=1, density=0.7, num_parked=0, num_pedestrians=0, respawn_at=at)
        params = env.default_params.replace(safe_distance=1.0)  # four of six places are taken
        start = params.scenes.start[0]
        meeting = (*params.scenes.route[0, 3, -1], 0, 0)
        blocker = start[1].at[3].set(0.0)  # vehicle 0 stands where vehicle 1 would come back
        after, _, outcome = coast(env, params, placed(env, params, v0=blocker, v1=meeting, v2=meeting))
        np.testing.assert_array_equal(outcome.collision, [0, 1, 1, 0, 0, 0])
        if at == "wait":
            np.testing.assert_array_equal(after.there, [1, 0, 1, 1, 0, 0])
            assert not env.get_obs(after, params)[1].any()
            later = coast(env, params, placed(env, params).replace(there=after.there))[0]
            np.testing.assert_array_equal(later.trip, np.arange(6))
        else:  # vehicle 1 takes the start of vehicle 2, which waits for a step and then takes that of 3, who has left
            np.testing.assert_array_equal(after.there, [1, 1, 0, 1, 0, 0])
            later = coast(env, params, after)[0]
            np.testing.assert_array_equal(later.trip, [0, 2, 3, 3, 4, 5])
            np.testing.assert_allclose(later.pose[2], start[3])
            np.testing.assert_allclose(
                drive_state.goals(later, params)[1:3], params.scenes.route[0, jnp.array([2, 3]), -1]
            )
        np.testing.assert_array_equal(later.there, [1, 1, 1, 1, 0, 0])


def test_free_starts_are_given_as_a_plain_loop_gives_them():
    rng = np.random.default_rng(0)
    for others_too in (False, True):
        for _ in range(20):
            gone, (starts, place) = rng.random(12) < 0.5, rng.uniform(0, 60, (2, 12, 2)).astype(np.float32)
            found = find_places(*map(jnp.asarray, (gone, ~gone, place, starts)), 9.0, others_too)
            free = [all(gone[i] or np.linalg.norm(place[i] - starts[j]) >= 9 for i in range(12)) for j in range(12)]
            wanted = {}
            for i in np.flatnonzero(gone):
                choices = [(i + k) % 12 for k in range(12 if others_too else 1)]
                wanted[i] = next((j for j in choices if free[j]), None)
            first = {j: min(i for i in wanted if wanted[i] == j) for j in wanted.values() if j is not None}
            expected = [i in wanted and wanted[i] is not None and first[wanted[i]] == i for i in range(12)]
            np.testing.assert_array_equal(found.back, expected)
            assert all(found.trip[i] == wanted[i] for i in np.flatnonzero(expected))


@pytest.mark.parametrize("at", ["wait", "free"])
def test_nobody_comes_back_within_the_safe_distance_of_another_vehicle(at):
    env = make("drive", num_vehicles=24, num_scenes=1, num_parked=0, num_pedestrians=0, respawn_at=at)
    params = env.default_params

    def body(state, key):
        action = jax.random.randint(key, (24,), 0, 28, jnp.int32)
        return env.transition(state, action, params)[0], state

    keys = jax.random.split(jax.random.key(0), 200)
    states = jax.jit(lambda state: jax.lax.scan(body, state, keys)[1])(env.start(jnp.int32(0), params))
    pose, there, ghost = (np.asarray(x) for x in (states.pose, states.there, states.ghost))
    num_back = 0
    for t in range(1, 200):
        back = there[t] & ghost[t] & ~(there[t - 1] & ghost[t - 1])  # it is a ghost for its first step at least
        stayed = there[t] & ~back
        distance = np.linalg.norm(pose[t][back][:, None, :2] - pose[t][stayed][None, :, :2], axis=-1)
        assert distance.min(initial=np.inf) >= 10
        num_back += back.sum()
    assert num_back > 20
    assert there.mean() > 0.6
