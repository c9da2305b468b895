"""Breakout's rules, line by line, and whole games against a plain loop over all bricks in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.breakout import Breakout
from envs.players import scripted

f32 = np.float32
STAY, LEFT, RIGHT = jnp.int32(0), jnp.int32(1), jnp.int32(2)


@pytest.fixture(scope="module")
def env():
    return Breakout(frameskip=1)


@pytest.fixture(scope="module")
def params(env):
    return env.default_params


@pytest.fixture(scope="module")
def transition(env, params):
    jitted = jax.jit(lambda state, action, left: env.transition(state, action, left, params))
    return lambda state, action=STAY, left=False: jitted(state, action, jnp.bool(left))


@pytest.fixture(scope="module")
def start(env, params):
    return env.start(params)


def place(state, **values):
    """The state with some values replaced, its ball already fired."""
    values = {"fired": True, **values}
    return state.replace(**{k: jnp.asarray(v, getattr(state, k).dtype) for k, v in values.items()})


def flags(state):
    return np.array([[int(word) >> c & 1 for c in range(18)] for word in state.bricks])


def without(*rows):
    """Brick words with whole rows destroyed."""
    return tuple(jnp.uint32(2**18 - 1 if r in rows else 0) for r in range(6))


def test_episode_starts_with_a_centred_round(env, params, start):
    obs = env.get_obs(start, params)
    assert obs.shape == (118,)
    expected = [257 / 576, 312 / 330, 272 / 576, 135 / 330, 0, 0, 0, 0, 1, 1]
    np.testing.assert_allclose(obs[:10], expected, rtol=1e-6)
    assert not obs[10:].any()


@pytest.mark.parametrize("left", [False, True])
def test_first_frame_fires_downward_and_ignores_the_action(transition, start, left):
    state = transition(start, RIGHT, left)[0]
    vx, vy = np.sin(np.pi / 3.25) * 256 / 60, np.cos(np.pi / 3.25) * 256 / 60
    assert state.paddle_x == 257
    np.testing.assert_allclose([state.ball_vx, state.ball_vy], [-vx if left else vx, vy], rtol=1e-6)
    np.testing.assert_allclose([state.ball_x, state.ball_y], [272 + state.ball_vx, 135 + vy], rtol=1e-6)
    assert state.fired


def test_paddle_moves_at_620_pixels_a_second_inside_the_field(transition, start):
    assert transition(place(start), LEFT)[0].paddle_x == f32(257) - f32(620 / 60)
    assert transition(place(start), RIGHT)[0].paddle_x == f32(257) + f32(620 / 60)
    assert transition(place(start, paddle_x=3), LEFT)[0].paddle_x == 0
    assert transition(place(start, paddle_x=510), RIGHT)[0].paddle_x == 514
    assert transition(place(start, paddle_x=540, paddle_width=31), RIGHT)[0].paddle_x == 545


@pytest.mark.parametrize(
    ("row", "points", "speed"),
    [
        (0, 7, 448),
        (1, 7, 448),
        (2, 4, 448),
        (3, 4, 256),
        (4, 1, 256),
        (5, 1, 256),
    ],
)
def test_brick_from_below_pays_mirrors_and_may_speed_up(transition, start, row, points, speed):
    bricks = without(*range(row + 1, 6))
    bottom = 62 + 12 * row
    before = place(start, ball_x=32, ball_y=bottom + 2, ball_vx=0, ball_vy=-4, ball_speed=256)
    state, reward, _ = transition(before.replace(bricks=bricks))
    assert (state.ball_x, state.ball_y, state.ball_vy) == (32, bottom, 4)
    assert (reward, state.score, state.ball_speed) == (points, points, speed)
    expected = flags(before.replace(bricks=bricks))
    expected[row, 1] = 1
    np.testing.assert_array_equal(flags(state), expected)


def test_of_two_bricks_hit_at_once_the_one_with_more_overlap_goes(transition, start):
    state = transition(place(start, ball_x=40, ball_y=124, ball_vx=0, ball_vy=-4))[0]
    np.testing.assert_array_equal(np.argwhere(flags(state)), [[5, 1]])
    state = transition(place(start, ball_x=56, ball_y=124, ball_vx=0, ball_vy=-4))[0]
    np.testing.assert_array_equal(np.argwhere(flags(state)), [[5, 2]])


@pytest.mark.parametrize(("vx", "x", "column"), [(5, 61, 3), (-5, 99, 2)])
def test_brick_from_the_side_mirrors_vx(transition, start, vx, x, column):
    bricks = tuple(jnp.uint32((2**18 - 1) & ~(1 << column)) for _ in range(6))
    before = place(start, ball_x=x, ball_y=80, ball_vx=vx, ball_vy=0.5).replace(bricks=bricks)
    state, reward, _ = transition(before)
    assert (state.ball_x, state.ball_vx) == (64 if vx > 0 else 96, -vx)
    assert reward == 4  # rows 3 and 4 are covered whole; the first wins the tie


def test_side_walls_mirror_vx_and_the_back_wall_halves_the_paddle(transition, start):
    state = transition(place(start, ball_x=2, ball_y=200, ball_vx=-4, ball_vy=1))[0]
    assert (state.ball_x, state.ball_y, state.ball_vx, state.paddle_width) == (0, 200.5, 4, 62)
    state = transition(place(start, ball_x=542, ball_y=200, ball_vx=4, ball_vy=1))[0]
    assert (state.ball_x, state.ball_y, state.ball_vx, state.paddle_width) == (544, 200.5, -4, 62)
    state = transition(place(start, ball_x=100, ball_y=3, ball_vx=0, ball_vy=-4).replace(bricks=without(*range(6))))[0]
    assert (state.ball_y, state.ball_vy, state.paddle_width) == (0, 4, 31)


@pytest.mark.parametrize("offset", [0.0, 0.25, 0.5, 1.0])
def test_paddle_sets_the_direction_by_where_it_is_hit_and_holds_the_ball(transition, start, offset):
    ball_x = 200 + offset * 62 - 16
    before = place(start, paddle_x=200, ball_x=ball_x, ball_y=278, ball_vx=1, ball_vy=4, ball_speed=320)
    state = transition(before)[0]
    angle = -np.pi / 4 + np.pi / 2 * offset
    assert (state.ball_x, state.ball_y, state.hits) == (ball_x, 278, 1)
    np.testing.assert_allclose(state.ball_vx, np.sin(angle) * 320 / 60, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state.ball_vy, -np.cos(angle) * 320 / 60, rtol=1e-5)


@pytest.mark.parametrize(("hits", "speed", "expected"), [(3, 256, 320), (2, 256, 256), (7, 448, 448)])
def test_every_fourth_hit_speeds_the_ball_up_to_448(transition, start, hits, speed, expected):
    before = place(start, ball_y=278, ball_vy=4, hits=hits, ball_speed=speed)
    assert transition(before)[0].ball_speed == expected


def test_wall_of_bricks_comes_back_at_432_points_with_the_next_hit(transition, start):
    before = place(start, ball_y=278, ball_vy=4, score=432).replace(bricks=without(*range(6)))
    assert not flags(transition(before)[0]).any()
    assert flags(transition(place(before, ball_y=200))[0]).all()


def test_ball_below_the_paddle_costs_a_ball_and_starts_a_round(transition, start):
    before = place(start, ball_x=10, ball_y=318, ball_vy=4, hits=9, ball_speed=448, paddle_width=31, paddle_x=400)
    state, reward, terminated = transition(before.replace(bricks=without(0)))
    assert (state.num_balls, state.ball_x, state.ball_y, state.ball_vy) == (4, 272, 135, 0)
    assert (state.paddle_x, state.paddle_width, state.ball_speed, state.hits) == (257, 62, 256, 0)
    assert (reward, terminated, bool(state.fired)) == (0, False, False)
    assert flags(state)[0].all()


def test_sixth_ball_lost_or_864_points_end_the_episode(transition, start):
    assert transition(place(start, ball_x=10, ball_y=318, ball_vy=4, num_balls=0))[2]
    assert not transition(place(start, ball_x=10, ball_y=318, ball_vy=4, num_balls=1))[2]
    last = place(start, ball_x=32, ball_y=124, ball_vx=0, ball_vy=-4, score=863)
    assert transition(last)[1:] == (1, True)


def test_escaped_ball_is_nudged_back(transition, start):
    nudge = 1.1 * 448 / 60
    state = transition(place(start, ball_x=-1, ball_y=200, ball_vx=1, ball_vy=1))[0]
    np.testing.assert_allclose(state.ball_x, nudge, rtol=1e-6)
    state = transition(place(start, ball_x=577, ball_y=200, ball_vx=-1, ball_vy=1))[0]
    np.testing.assert_allclose(state.ball_x, 576 - nudge, rtol=1e-6)
    state = transition(place(start, ball_x=100, ball_y=-1, ball_vx=1, ball_vy=1).replace(bricks=without(*range(6))))[0]
    np.testing.assert_allclose(state.ball_y, nudge, rtol=1e-5)


def test_continuous_action_is_a_paddle_speed(params, start):
    env = Breakout(frameskip=2, continuous=True)
    state = jax.jit(env.transition)(place(start), jnp.array([-0.5]), jnp.bool(False), params)[0]
    np.testing.assert_allclose(state.paddle_x, 257 - 620 / 60, rtol=1e-6)


class PlainBreakout:
    """The rules as a plain loop over every brick, single precision where C has floats, double where it has sines."""

    def __init__(self):
        self.score, self.balls, self.bricks = 0, 5, np.zeros(108, bool)
        self.new_round()

    def new_round(self):
        self.fired, self.hits, self.speed = False, 0, 256
        self.width, self.paddle = f32(62), f32(257)
        self.x, self.y, self.vx, self.vy = f32(272), f32(135), f32(0), f32(0)

    def consider(self, kind, distance, velocity, low, extent, corner, drift):
        """Test one edge; keep it if it is earlier than the best so far, or as early with more overlap."""
        with np.errstate(divide="ignore", invalid="ignore"):
            time = f32(distance) / velocity
            overlap = min(f32(low + extent), corner + f32(32) + drift * time) - max(f32(low), corner + drift * time)
        if overlap > 0 and 0 < time <= 1 and (time, -overlap) < (self.best[0], -self.best[1]):
            self.best = (time, overlap, kind, corner + drift * time)

    def bricks_near(self):
        for index in np.flatnonzero(~self.bricks):
            left, top = 32 * (index % 18), 50 + 12 * (index // 18)
            if abs(left - self.x) > 45 or abs(top - self.y) > 45:
                continue
            if self.vx > 0:
                self.consider(("v", index, left - 32), left - (self.x + f32(32)), self.vx, top, 12, self.y, self.vy)
            if self.vx < 0:
                self.consider(("v", index, left + 32), left + 32 - self.x, self.vx, top, 12, self.y, self.vy)
            if self.vy > 0:
                self.consider(("h", index, top - 32), top - (self.y + f32(32)), self.vy, left, 32, self.x, self.vx)
            if self.vy < 0:
                self.consider(("h", index, top + 12), top + 12 - self.y, self.vy, left, 32, self.x, self.vx)

    def walls_and_paddle(self):
        if self.vx < 0:
            self.consider(("v", -1, 0), -self.x, self.vx, 0, 330, self.y, self.vy)
        if self.vx > 0:
            self.consider(("v", -1, 544), 576 - (self.x + f32(32)), self.vx, 0, 330, self.y, self.vy)
        if self.vy < 0:
            self.consider(("h", -2, 0), -self.y, self.vy, 0, 576, self.x, self.vx)
        if self.y + f32(32) + self.vy >= 312:
            distance = 312 - (self.y + f32(32))
            self.consider(("p", 0, 0), distance, self.vy, self.paddle, self.width, self.x, self.vx)

    def frame(self, action, fire_left):
        if not self.fired:
            self.fired = True
            angle = float(f32(np.pi / 3.25))
            self.vx, self.vy = f32(np.sin(angle) * 256 / 60), f32(np.cos(angle) * 256 / 60)
            self.vx = -self.vx if fire_left else self.vx
        elif action:
            step = f32(620) / f32(60)
            self.paddle = self.paddle - step if action == 1 else self.paddle + step
            self.paddle = min(max(self.paddle, f32(0)), f32(576) - self.width)
        self.best = (f32(2), f32(-1), None, None)
        self.bricks_near()
        self.walls_and_paddle()
        kind = self.best[2]
        if kind is None:
            self.x, self.y = self.x + self.vx, self.y + self.vy
        elif kind[0] == "p":
            self.hit_paddle()
        else:
            self.bounce(*kind)
        if self.y >= 320:
            self.balls -= 1
            self.new_round()

    def hit_paddle(self):
        where = ((self.x + f32(16)) - self.paddle) / self.width
        angle = float(-f32(np.pi / 4) + where * f32(2) * f32(np.pi / 4))
        self.vx = f32(np.sin(angle) * self.speed / 60)
        self.vy = f32(-np.cos(angle) * self.speed / 60)
        self.hits += 1
        if self.hits % 4 == 0 and self.speed < 448:
            self.speed += 64
        if self.score == 432:
            self.bricks[:] = False

    def bounce(self, axis, index, edge):
        if axis == "v":
            self.x, self.y, self.vx = f32(edge), self.best[3], -self.vx
        else:
            self.x, self.y, self.vy = self.best[3], f32(edge), -self.vy
        if index == -2:
            self.width = f32(31)
        if index >= 0:
            self.bricks[index] = True
            self.score += 7 - 3 * (index // 36)
            self.speed = 448 if index // 18 < 3 else self.speed


@pytest.fixture(scope="module")
def play(params):
    """Play 4500 steps by script, or at random: every action and draw, and what came of it."""
    env = Breakout(frameskip=4)
    policy = scripted(env)

    @jax.jit
    def run(by_script):
        def body(state, key):
            action_key, fire_key = jax.random.split(key)
            random = jax.random.randint(action_key, (), 0, 3)
            action = jnp.where(by_script, policy(action_key, state, params), random)
            fire_left = env.draw(fire_key)
            state, reward, terminated = env.transition(state, action, fire_left, params)
            return state, (action, fire_left, state, reward, terminated)

        return jax.lax.scan(body, env.start(params), jax.random.split(jax.random.key(3), 4500))[1]

    return lambda by_script: jax.tree.map(np.asarray, run(jnp.bool(by_script)))


# A GPU fuses products and sums into one rounding.
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the bits are a CPU's")
@pytest.mark.parametrize("by_script", [False, True])
def test_whole_episodes_equal_the_plain_loop_to_the_last_bit(play, by_script):
    actions, fires, states, rewards, terminated = play(by_script)
    end = np.flatnonzero(terminated)[0]
    plain = PlainBreakout()
    for t in range(end + 1):
        before = plain.score
        for _ in range(4):
            if plain.balls >= 0 and plain.score < 864:
                plain.frame(actions[t], fires[t])
        assert rewards[t] == plain.score - before
        assert (states.ball_x[t], states.ball_y[t]) == (plain.x, plain.y)
        assert (states.paddle_x[t], states.num_balls[t]) == (plain.paddle, plain.balls)
    assert not by_script or plain.score == 864
