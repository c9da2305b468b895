"""The latency benchmark: its plan, its data, its table."""

import numpy as np

from experiments.bench import harness
from experiments.bench.tuner import suggest
from experiments.bench.tuner.peers import OptunaPeer
from experiments.bench.tuner.suggest import Cell


def test_short_form_is_part_of_the_full_one():
    short, full = suggest.plan(False), suggest.plan(True)
    assert set(short) < set(full)
    assert len(full) == 45 + 30
    assert {("neocarbs", 1000, 1, 11), ("neocarbs", 100, 32, 11), ("neocarbs", 100, 1, 30)} < set(short)
    assert ("neocarbs", 1000, 32, 11) not in short
    assert ("optuna_gp", 300, 1, 11) in short
    assert ("optuna_gp", 1000, 1, 11) not in short


def test_observations_are_the_same_every_time_and_costs_positive():
    once, again = (suggest.observations_of(30, 4) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert once[0].shape == (30, 4)
    assert (once[2] > 0).all()


def test_peers_start_from_the_given_observations():
    peer = suggest.PEERS["optuna_gp"](suggest.space_of(4), 0)
    assert isinstance(peer, OptunaPeer)
    suggest.preload(peer, *suggest.observations_of(30, 4))
    assert peer.num_trials == 30


def test_table_has_a_row_per_axes_and_observations():
    cells = [Cell("neocarbs", 100, 1, 11, 0.05), Cell("optuna_gp", 100, 1, 11, 0.9), Cell("neocarbs", 10, 8, 11, 0.2)]
    text = suggest.markdown(cells, {"peak memory at n = 1000, GiB": 1.234}, harness.stamp())
    assert "| 11 | 100 | 50 | - | - | 900 | - |" in text
    assert text.index("| 11 | 10 |") < text.index("| 11 | 100 |")
    assert "- peak memory at n = 1000, GiB: 1.23" in text
