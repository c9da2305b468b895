"""The benchmark of stopping: what a row of its table says."""

import numpy as np

from experiments.bench.tuner.stops import MODES, Outcome, row_of


def outcome(fraction, spent, stopped=0.0):
    return Outcome(np.array(fraction), np.array(spent, float), stopped)


def test_a_row_compares_seed_by_seed():
    outcomes = {
        "alone": [outcome([0.3, 0.5], [4, 10]), outcome([0.2, 0.7], [13, 20])],
        "reports": [outcome([0.5, 0.6], [4, 8]), outcome([0.5, 0.6], [8, 16])],
        "stops": [outcome([0.4, 0.5], [2, 4], 0.5), outcome([0.7, 0.8], [8, 12], 0.25)],
    }
    assert tuple(outcomes) == MODES
    name, *cells = row_of("a table", outcomes)
    assert name == "a table"
    # Alone has .3 for 4, and nothing for 12. Differences 0 and .1; saved .6 and .4 of alone, .5 and .25 of reports.
    assert cells == ["0.600", "0.600", "0.650", "0.150", "+0.050 ± 0.050", "0.38", "+0.50", "+0.38"]
