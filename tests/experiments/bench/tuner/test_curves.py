"""The benchmark of curves and continuations: what a row of its table says."""

from experiments.bench.tuner.curves import ARMS, COLUMNS, differences, summarise


def sweep(table, seed, arm, fraction, paid):
    return {"table": table, "seed": seed, "arm": arm, "fraction": fraction, "paid": paid}


ROWS = [
    sweep("a", 0, "plain", [0.1, 0.4, 0.5], [2.0, 6.0, 10.0]),
    sweep("a", 0, "continued", [0.2, 0.5, 0.6], [1.0, 4.0, 7.0]),
    sweep("a", 1, "plain", [0.3, 0.4, 0.7], [10.0, 15.0, 20.0]),
    sweep("a", 1, "continued", [0.3, 0.4, 0.6], [1.0, 4.0, 6.0]),
]


def test_a_row_compares_with_the_plain_sweep_of_the_same_seed():
    head, _, row, mean = summarise(ROWS, ["a"], ["plain", "continued"]).splitlines()
    own = "| table | plain | plain: at half the cost"
    assert head == f"{own} | {' | '.join(f'continued: {name}' for name in COLUMNS)} |"
    # Plain has .5 and .7, at half its cost .1 and .3. Continued has .6 for .7 and .3, where plain had .4 and nothing.
    # At half the cost it has .5 and .6. It had as much for 4 of 10, and never.
    assert row == "| a | 0.60 | 0.20 | 0.60 | 0.50 | 0.20 | 0.55 | inf |"
    assert mean == "| mean | 0.60 | 0.20 | 0.60 | 0.50 | 0.20 | 0.55 |  |"
    assert set(ARMS) == {"plain", "curves", "continued", "both"}


def test_differences_at_the_same_cost_have_an_error():
    said = differences(ROWS, ["a"], ["plain", "continued"])
    # At a quarter, .2 - .1 and .4 - 0 (4 of 20 are paid, 6 are more); at half, .5 - .1 and .6 - .3.
    assert "continued, at 25% of the plain sweep's cost: +0.250 ± 0.150" in said
    assert "continued, at 50% of the plain sweep's cost: +0.350 ± 0.050" in said
