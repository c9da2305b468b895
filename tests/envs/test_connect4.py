"""Connect four's rules, and its opponent against the plain recursion of its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.connect4 import Board, Connect4, cells, playable, search_values, winning_cells

PARAMS = Connect4().default_params
START = Connect4().start()


def board(grid, player):
    """A Board of the cells of [column][row] `grid` that belong to `player`."""
    words = [
        sum(1 << 7 * c + r for c in range(lo, hi) for r in range(6) if grid[c][r] == player)
        for lo, hi in ((0, 4), (4, 7))
    ]
    return Board(jnp.uint32(words[0]), jnp.uint32(words[1] >> 28))


def state_of(grid):
    return START.replace(agent=board(grid, 1), opponent=board(grid, -1))


def grid_of(moves):
    """Play columns in turn, the agent (1) first."""
    grid = np.zeros((7, 6), int)
    for i, c in enumerate(moves):
        drop(grid, c, 1 if i % 2 == 0 else -1)
    return grid


def drop(grid, c, player):
    grid[c][np.flatnonzero(grid[c] == 0)[0]] = player


FOURS = np.array(
    [
        [(c + i * dc) * 6 + r + i * dr for i in range(4)]
        for c in range(7)
        for r in range(6)
        for dc, dr in ((1, 0), (0, 1), (1, 1), (1, -1))
        if c + 3 * dc < 7 and 0 <= r + 3 * dr < 6
    ]
)


def has_four(grid, player):
    return bool((grid.reshape(-1)[FOURS] == player).all(axis=1).any())


def plain_search(grid, mover, depth):
    """S(mover, other, depth) of the definition."""
    if has_four(grid, -mover):
        return 10**depth
    if has_four(grid, mover) or depth == 0:
        return 0
    total = 0
    for c in range(7):
        if grid[c][5] == 0:
            after = grid.copy()
            drop(after, c, mover)
            total -= plain_search(after, -mover, depth - 1)
    return total


def random_position(rng, num_pieces):
    """A position without four in a row, the opponent to move."""
    while True:
        grid = np.zeros((7, 6), int)
        for i in range(num_pieces):
            drop(grid, rng.choice(np.flatnonzero(grid[:, 5] == 0)), 1 if i % 2 == 0 else -1)
        if not has_four(grid, 1) and not has_four(grid, -1):
            return grid


@pytest.fixture(scope="module")
def transition():
    env = Connect4()
    jitted = jax.jit(lambda state, action, draw: env.transition(state, action, draw, PARAMS))
    return lambda state, action, draw=0: jitted(state, jnp.int32(action), jnp.uint32(draw))


def observed(state):
    return np.asarray(Connect4().get_obs(state, PARAMS)).reshape(7, 6)


def test_observation_goes_column_by_column_from_the_bottom():
    grid = grid_of([0, 6, 0, 4])
    np.testing.assert_array_equal(observed(state_of(grid)), grid)
    assert np.flatnonzero(np.asarray(cells(board(grid, -1)))).tolist() == [24, 36]


@pytest.mark.parametrize(
    ("moves", "last"),
    [
        ([0, 1, 0, 1, 0, 1], 0),  # vertical
        ([0, 0, 1, 1, 2, 2], 3),  # horizontal, closed at its end
        ([2, 2, 3, 3, 5, 5], 4),  # horizontal, closed in the middle, over both words of the board
        ([0, 1, 1, 2, 2, 3, 2, 3, 3, 6], 3),  # diagonal up
        ([6, 5, 5, 4, 4, 3, 4, 3, 3, 0], 3),  # diagonal down
    ],
)
def test_agent_wins_in_every_direction(transition, moves, last):
    grid = grid_of(moves)
    state, reward, terminated = transition(state_of(grid), last)
    assert (reward, terminated) == (1, True)
    drop(grid, last, 1)
    np.testing.assert_array_equal(observed(state), grid)  # the opponent does not move any more
    assert (
        winning_cells(board(grid_of(moves), 1)) & playable(board(grid_of(moves), 1) | board(grid_of(moves), -1))
    ).any()


def test_lines_do_not_wrap_around_the_edges():
    grid = np.zeros((7, 6), int)
    grid[0][3:] = grid[1][0] = 1  # contiguous bits but for the free one above column 0
    assert not has_four(grid, 1)
    assert not winning_cells(board(grid, 1)).any()


def test_winning_cells_equal_trying_every_cell():
    rng = np.random.default_rng(0)
    for _ in range(20):
        grid = random_position(rng, int(rng.integers(4, 30)))
        wins = np.asarray(cells(winning_cells(board(grid, 1)))).reshape(7, 6)
        for c, r in np.argwhere(grid == 0):
            tried = grid.copy()
            tried[c][r] = 1
            assert wins[c][r] == has_four(tried, 1)


def test_playing_a_full_column_loses(transition):
    grid = np.zeros((7, 6), int)
    grid[2] = [1, -1, 1, -1, 1, -1]
    state, reward, terminated = transition(state_of(grid), 2)
    assert (reward, terminated) == (-1, True)
    np.testing.assert_array_equal(observed(state), grid)


def test_opponent_takes_a_win_and_the_game_is_lost(transition):
    _, reward, terminated = transition(state_of(grid_of([0, 1, 0, 1, 2, 1])), 6)
    assert (reward, terminated) == (-1, True)


@pytest.mark.parametrize(("opening", "reply"), [(3, 2), (4, 3)])
def test_book_replies(transition, opening, reply):
    for draw in range(7):
        state, _, _ = transition(START, opening, draw)
        assert observed(state)[reply][0] == -1


def test_full_board_is_a_draw(transition):
    columns = ["ababab", "ababab", "bababa", "ababab", "ababab", "ababab", "bababa"]
    grid = np.array([[1 if x == "a" else -1 for x in col] for col in columns])
    grid[5, 3:] = [-1, -1, 1]
    grid[0][5] = grid[6][5] = 0
    assert not has_four(grid, 1)
    assert not has_four(grid, -1)
    state, reward, terminated = transition(state_of(grid), 6)
    assert (reward, terminated) == (0, True)
    assert (observed(state) != 0).all()


def test_search_values_equal_the_recursion():
    rng = np.random.default_rng(1)
    grids = [random_position(rng, int(n)) for n in (1, 11, 19, 27, 35)]
    agents, opponents = (jax.tree.map(lambda *x: jnp.stack(x), *[board(g, p) for g in grids]) for p in (1, -1))
    values = jax.jit(jax.vmap(search_values))(agents, opponents)
    for grid, got in zip(grids, np.asarray(values), strict=True):
        for c in np.flatnonzero(grid[:, 5] == 0):
            after = grid.copy()
            drop(after, c, -1)
            if not has_four(after, -1):
                assert got[c] == plain_search(after, 1, 3)


def test_opponent_plays_the_best_value_and_breaks_ties_by_the_draw(transition):
    rng = np.random.default_rng(2)
    for num_pieces in (14, 22):
        grid = random_position(rng, num_pieces)
        free = [c for c in range(7) if not winning(grid, c, 1)]
        before = grid.copy()
        drop(before, free[0], 1)
        values = {}
        for c in np.flatnonzero(before[:, 5] == 0):
            after = before.copy()
            drop(after, c, -1)
            values[c] = np.inf if has_four(after, -1) else plain_search(after, 1, 3)
        best = [c for c, v in values.items() if v == max(values.values())]
        best = best[:1] if max(values.values()) == np.inf else best
        for draw in range(3):
            state, _, _ = transition(state_of(grid), free[0], draw)
            [[c, _]] = np.argwhere(observed(state) != before)
            assert c == best[draw % len(best)]


def winning(grid, c, player):
    after = grid.copy()
    drop(after, c, player)
    return has_four(after, player)


def test_random_opponent_plays_every_legal_column():
    env = Connect4(opponent="random")
    grid = np.zeros((7, 6), int)
    grid[5] = [1, -1, 1, -1, 1, -1]
    step = jax.jit(jax.vmap(lambda draw: env.transition(state_of(grid), jnp.int32(0), draw, PARAMS)[0]))
    states = step(jnp.arange(60, dtype=jnp.uint32))
    after = np.asarray(jax.vmap(lambda s: env.get_obs(s, PARAMS))(states)).reshape(60, 7, 6)
    np.testing.assert_array_equal(((after == -1).sum(axis=(0, 2)) > 60 * 3 - 1)[5], True)
    counts = (after == -1).sum(axis=(0, 2)) - 60 * (grid == -1).sum(axis=1)
    np.testing.assert_array_equal(counts, [10, 10, 10, 10, 10, 0, 10])


def test_opponent_must_be_known():
    with pytest.raises(ValueError, match=r'`opponent` must be "negamax" or "random"; got "?\'?perfect'):
        Connect4(opponent="perfect")
