"""Peers that are seldom installed: what they are told of failures, and that they can be asked where they are."""

import math

import numpy as np
import pytest

from experiments.bench.tuner import heavy_peers
from neocarbs_jax.space import Integer, Linear, SearchSpace

SPACE = SearchSpace(rate=Linear(0.0, 1.0), size=Integer(1, 4))


def test_a_failure_is_as_bad_as_the_worst_so_far_and_costs_what_it_cost():
    worst = heavy_peers.Worst()
    assert worst.objectives(math.nan, 1.0) == [0.0, 0.0]  # nothing is known yet
    assert worst.objectives(3.0, math.e) == pytest.approx([-3.0, 1.0])
    assert worst.objectives(5.0, 1.0) == pytest.approx([-5.0, 0.0])
    assert worst.objectives(math.nan, math.e**2) == pytest.approx([-3.0, 2.0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("name", heavy_peers.available())
def test_a_peer_suggests_points_of_the_cube_and_levels_of_integers(name):
    peer = heavy_peers.PEERS[name](SPACE, 0)
    for number in range(20):
        unit = peer.ask()
        assert np.all((unit >= 0) & (unit <= 1))
        assert (unit[1] * 4 - 0.5) % 1 == pytest.approx(0)
        peer.tell(unit, math.nan if number == 3 else float(unit[0]), 1.0 + float(unit[1]))
