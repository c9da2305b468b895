"""The benchmark of stopping: what a row of its table says."""

from experiments.bench.tuner.stops import MODES, Outcome, row_of


def test_a_row_compares_seed_by_seed():
    outcomes = {
        "alone": [Outcome(0.5, 10.0, 0.0), Outcome(0.7, 20.0, 0.0)],
        "reports": [Outcome(0.6, 8.0, 0.0), Outcome(0.6, 16.0, 0.0)],
        "stops": [Outcome(0.5, 4.0, 0.5), Outcome(0.8, 12.0, 0.25)],
    }
    assert tuple(outcomes) == MODES
    name, *cells = row_of("a table", outcomes)
    assert name == "a table"
    # Differences 0 and .1; saved .6 and .4 of alone, .5 and .25 of reports.
    assert cells == ["0.600", "0.600", "0.650", "+0.050 ± 0.050", "0.38", "+0.50", "+0.38"]
