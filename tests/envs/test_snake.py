"""Snake's rules; both updates against snakes that move one after the other in plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.snake import CORPSE, EMPTY, FOOD, SNAKE, WALL, EnvState, Snake

UP, DOWN, LEFT, RIGHT = range(4)
STEPS = [(-1, 0), (1, 0), (0, -1), (0, 1)]
SIZE = {"width": 16, "height": 13, "vision": 2, "num_food": 8, "max_length": 8}


class PlainSnakes:
    """The rules as a loop over snakes, each a list of cells from tail to head."""

    def __init__(self, grid, heads, max_length):
        self.grid = grid
        self.bodies = [[head] for head in heads]
        self.max_length = max_length
        self.tiles = [7] + [4 + i % 4 for i in range(1, len(heads))]

    def turn(self, i, action, wishes):
        """(reward, died, length before), or None if the wished cell is not free."""
        body = self.bodies[i]
        r, c = body[-1]
        dr, dc = STEPS[action]
        target = (r + dr, c + dc)
        if len(body) > 1 and target == body[-2]:
            target = (r - dr, c - dc)
        tile, length = self.grid[target], len(body)
        if tile >= WALL:
            for k, cell in enumerate(body, 1):
                self.grid[cell] = CORPSE if k % 2 == 0 else EMPTY
            spawn = wishes[0]
            if self.grid[spawn] not in (EMPTY, CORPSE):
                return None
            self.grid[spawn] = self.tiles[i]
            self.bodies[i] = [spawn]
            return -1.0, True, length
        if tile == FOOD:
            if self.grid[wishes[1]] not in (EMPTY, CORPSE):
                return None
            self.grid[wishes[1]] = FOOD
        body.append(target)
        if not (tile in (FOOD, CORPSE) and length < self.max_length - 1):
            self.grid[body.pop(0)] = EMPTY
        self.grid[target] = self.tiles[i]
        return 0.1 if tile in (FOOD, CORPSE) else 0.0, False, length


def make(num_snakes, parallel=True, **sizes):
    return Snake(num_snakes=num_snakes, parallel=parallel, **{**SIZE, **sizes})


@pytest.fixture(scope="module")
def step():
    """A jitted transition per environment."""
    cache = {}

    def call(env, state, actions, cells):
        if env not in cache:
            cache[env] = jax.jit(lambda s, a, c: env.transition(s, a, c, env.default_params))
        return cache[env](state, jnp.asarray(actions, jnp.int32), jnp.asarray(cells, jnp.int32))

    return call


def tiles(env, state):
    return (np.asarray(state.grid) & 7).reshape(env.height, env.width)


def cell(env, r, c):
    return r * env.width + c


def begin(env, heads, food=(), corpses=()):
    """Snakes of length 1 at the given cells, and nothing else but what is asked for."""
    grid = np.full((env.height, env.width), WALL, np.uint8)
    grid[env.vision : -env.vision, env.vision : -env.vision] = EMPTY
    for at, tile in [*((x, FOOD) for x in food), *((x, CORPSE) for x in corpses)]:
        grid[at] = tile
    for i, head in enumerate(heads):
        grid[head] = 7 if i == 0 else 4 + i % 4
    at = jnp.array([cell(env, *head) for head in heads], jnp.int32)
    zero = jnp.zeros(len(heads), jnp.int32)
    return EnvState(jnp.int32(0), jnp.asarray(grid.reshape(-1)), head=at, tail=at, length=zero + 1, heading=zero)


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_both_updates_equal_plain_python(step, parallel, seed):
    env = make(12, parallel)
    rng = np.random.default_rng(seed)
    inner = rng.integers(0, (env.height - 4) * (env.width - 4), env.num_snakes + env.num_food)
    state = env.start(env.board.cell(jnp.asarray(inner, jnp.int32)))
    heads = [divmod(int(h), env.width) for h in state.head]
    plain = PlainSnakes(tiles(env, state).copy(), heads, env.max_length)
    deaths = 0
    for _ in range(150):
        actions = rng.integers(0, 4, env.num_snakes)
        wishes = np.asarray(env.board.cell(rng.integers(0, (env.height - 4) * (env.width - 4), (env.num_snakes, 2))))
        before = [list(body) for body in plain.bodies], plain.grid.copy()
        results = []
        for i in range(env.num_snakes):
            pair = [divmod(int(w), env.width) for w in wishes[i]]
            result = plain.turn(i, int(actions[i]), pair)
            results.append(result)
            if result is None:  # the wish is not free: the plain rules do not say which cell then
                break
        if results[-1] is None:
            plain.bodies, plain.grid = before
            continue
        state, reward, died, length = step(env, state, actions, wishes)
        np.testing.assert_allclose(reward, [r for r, _, _ in results], rtol=1e-6)
        np.testing.assert_array_equal(died, [d for _, d, _ in results])
        np.testing.assert_array_equal(length, [n for _, _, n in results])
        np.testing.assert_array_equal(tiles(env, state), plain.grid)
        np.testing.assert_array_equal(state.head, [cell(env, *body[-1]) for body in plain.bodies])
        np.testing.assert_array_equal(state.tail, [cell(env, *body[0]) for body in plain.bodies])
        deaths += sum(d for _, d, _ in results)
    assert deaths > 100


@pytest.mark.parametrize("num_snakes", [pytest.param(1, marks=pytest.mark.slow), 20])
def test_parallel_equals_sequential_whatever_is_wished(step, num_snakes):
    rng = np.random.default_rng(7)
    one, other = make(num_snakes, True), make(num_snakes, False)
    inner = jnp.asarray(rng.integers(0, 108, num_snakes + 8), jnp.int32)
    state = one.start(one.board.cell(inner))
    for t in range(200):
        actions = rng.integers(0, 4, num_snakes)
        cells = one.draw(jax.random.key(t))
        got, expected = step(one, state, actions, cells), step(other, state, actions, cells)
        jax.tree.map(np.testing.assert_array_equal, got, expected)
        state = got[0]


def test_neck_rule_goes_straight_on(step):
    env = make(1)
    state = begin(env, [(6, 6)], food=[(6, 7)])
    state = step(env, state, [RIGHT], [[50, 50]])[0]
    assert state.length[0] == 2
    state = step(env, state, [LEFT], [[50, 50]])[0]
    assert state.head[0] == cell(env, 6, 8)
    single = step(env, begin(env, [(6, 6)]), [LEFT], [[50, 50]])[0]
    assert single.head[0] == cell(env, 6, 5)


def test_of_two_snakes_for_one_cell_the_first_gets_it_and_the_second_dies(step):
    env = make(2)
    state = begin(env, [(6, 5), (6, 7)])
    state, reward, died, _ = step(env, state, [RIGHT, LEFT], [[40, 40], [cell(env, 3, 3), 40]])
    np.testing.assert_array_equal(died, [False, True])
    np.testing.assert_array_equal(reward, [0, -1])
    np.testing.assert_array_equal(state.head, [cell(env, 6, 6), cell(env, 3, 3)])


def test_a_cell_is_free_for_those_who_move_after_its_owner_left(step):
    env = make(2)
    follow = step(env, begin(env, [(6, 7), (6, 6)]), [RIGHT, RIGHT], [[40, 40]] * 2)
    assert not follow[2].any()
    chased = step(env, begin(env, [(6, 6), (6, 7)]), [RIGHT, RIGHT], [[cell(env, 3, 3), 40], [40, 40]])
    np.testing.assert_array_equal(chased[2], [True, False])


def test_food_and_corpses_pay_and_grow_and_only_food_comes_back(step):
    env = make(1)
    state = begin(env, [(6, 6)], food=[(6, 7)], corpses=[(6, 8)])
    new = cell(env, 3, 3)
    for expected_food in (1, 1):
        state, reward, _, _ = step(env, state, [RIGHT], [[new, new]])
        np.testing.assert_allclose(reward, 0.1)
        assert (tiles(env, state) == FOOD).sum() == expected_food
    assert state.length[0] == 3


def test_death_leaves_every_second_segment_as_a_corpse(step):
    env = make(1)
    state = begin(env, [(2, 8)], food=[(2, 9), (2, 10), (2, 11)])
    spawn = cell(env, 7, 7)
    for _ in range(3):
        state = step(env, state, [RIGHT], [[spawn, cell(env, 9, 2)]])[0]
    state, reward, died, length = step(env, state, [UP], [[spawn, 40]])
    assert (reward[0], died[0], length[0], state.length[0], state.head[0]) == (-1, True, 4, 1, spawn)
    np.testing.assert_array_equal(tiles(env, state)[2, 8:12], [EMPTY, CORPSE, EMPTY, CORPSE])


def test_length_stops_below_its_bound(step):
    env = make(1, max_length=3)
    state = begin(env, [(6, 4)], food=[(6, 5), (6, 6), (6, 7)])
    for _ in range(3):
        state = step(env, state, [RIGHT], [[cell(env, 3, 3)] * 2])[0]
    assert state.length[0] == 2
    assert (tiles(env, state) >= SNAKE).sum() == 2


def test_observation_is_the_window_around_the_head(step):
    env = make(2)
    state = begin(env, [(3, 4), (4, 5)], food=[(2, 2)])
    obs = np.asarray(env.get_obs(state, env.default_params))
    assert obs.shape == (2, 5, 5)
    assert obs.dtype == np.uint8
    np.testing.assert_array_equal(obs, [tiles(env, state)[1:6, 2:7], tiles(env, state)[2:7, 3:8]])
    assert (obs[0, 0] == WALL).all()
    assert (obs[0, 2, 2], obs[0, 3, 3], obs[0, 1, 0]) == (7, 5, FOOD)


def test_layers_mark_each_kind_of_cell_of_the_same_window():
    env = make(2)
    state = begin(env, [(3, 4), (4, 5)], food=[(2, 2)])
    window = np.asarray(env.get_obs(state, env.default_params))
    layered = make(2, layers=True)
    obs = np.asarray(layered.get_obs(state, layered.default_params))
    assert obs.shape == (2, *layered.observation_space().shape)
    assert obs.dtype == np.uint8
    for layer, kind in enumerate((window == FOOD, window == CORPSE, window == WALL, window >= SNAKE)):
        np.testing.assert_array_equal(obs[..., layer], kind)
    assert obs.sum() == (window != EMPTY).sum() > 0


def test_episode_starts_with_all_snakes_and_food_on_free_cells():
    env = make(20)
    state = env.reset(jax.random.key(0))[1]
    grid = tiles(env, state)
    assert ((grid >= SNAKE).sum(), (grid == FOOD).sum()) == (20, 8)
    assert (state.length == 1).all()
    assert len(set(np.asarray(state.head).tolist())) == 20
    assert (grid[:2] == WALL).all()
    assert (grid[:, -2:] == WALL).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_snakes": 0}, "`num_snakes` must be at least 1; got 0"),
        ({"width": 10}, "`width` and `height` must exceed 2 \\* vision; got 10 and 360"),
        ({"num_food": 200_000}, "`num_snakes` \\+ `num_food` must be at most half"),
    ],
)
def test_sizes_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Snake(**arguments)
