"""The benchmark of curves and continuations: what a row of its table says."""

from experiments.bench.tuner.curves import ARMS, COLUMNS, summarise


def sweep(table, seed, arm, fraction, paid):
    return {"table": table, "seed": seed, "arm": arm, "fraction": fraction, "paid": paid}


def test_a_row_compares_with_the_plain_sweep_of_the_same_seed():
    rows = [
        sweep("a", 0, "plain", [0.1, 0.4, 0.5], [2.0, 6.0, 10.0]),
        sweep("a", 0, "continued", [0.2, 0.5, 0.6], [1.0, 4.0, 7.0]),
        sweep("a", 1, "plain", [0.3, 0.4, 0.7], [10.0, 15.0, 20.0]),
        sweep("a", 1, "continued", [0.3, 0.4, 0.6], [1.0, 4.0, 6.0]),
    ]
    head, _, row, mean = summarise(rows, ["a"], ["plain", "continued"]).splitlines()
    assert head.split(" | ")[1:] == [
        "plain",
        *(f"continued: {name}" for name in COLUMNS[:-1]),
        f"continued: {COLUMNS[-1]} |",
    ]
    # Found .6 both; cost .7 and .3; plain had .4 for 7, and nothing for 6; as much for 4 of 10, and never.
    assert row == "| a | 0.60 | 0.60 | 0.50 | 0.20 | inf |"
    assert mean == "| mean | 0.60 | 0.60 | 0.50 | 0.20 |  |"
    assert set(ARMS) == {"plain", "curves", "continued", "both"}
