"""The display of a running sweep, on a terminal and in a log file."""

import dataclasses
import io

import pytest
from rich.console import Console

from neocarbs_jax.report.progress import Progress, front_details


def test_a_log_file_gets_one_line_per_trial(trials):
    stream = io.StringIO()
    progress = Progress(8, console=Console(file=stream, width=80))
    with progress.running():
        progress.started(trials[3])
        with progress.phase("training"):
            pass
        progress.finished(trials[3], trials[:4])
        progress.finished(trials[5], trials[:6])
    legend, first, second = stream.getvalue().splitlines()
    assert legend == "(in brackets: what was predicted)"
    assert first == "trial   3 [4/8]  score 3 (3.1 ± 0.2)  cost 40 s (44)  rating 0.12"
    assert second == "trial   5 [6/8]  failed: non-finite <value> loss"
    assert {"training", "suggesting"} <= set(progress.seconds)


def test_a_log_line_fits_80_columns_with_long_numbers(trials):
    trial = dataclasses.replace(
        trials[3], number=123, score=-20.654321, cost=1234.56, predicted_score=-19.87654, predicted_score_std=12.345
    )
    progress = Progress(1000)
    progress.trials = [trial] * 124
    assert len(progress._line(trial)) <= 80


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_a_page(trials, width):
    stream = io.StringIO()
    progress = Progress(8, console=Console(file=stream, force_terminal=True, width=width))
    with progress.running():
        progress.finished(trials[3], trials)
        progress.started(trials[-1])
        progress.console.print(progress._draw())
    assert "trial 8 of 8" in stream.getvalue()
    assert "front" in stream.getvalue()
    assert "3.1 ± 0.2" in stream.getvalue()
    assert "…" not in stream.getvalue(), "nothing is cut off"


def test_the_front_table_shows_each_hyperparameter(trials):
    stream = io.StringIO()
    Console(file=stream, width=100).print(front_details(trials))
    assert "lr" in stream.getvalue()
    assert "0.001" in stream.getvalue()


def test_a_front_of_nothing_says_so(trials):
    stream = io.StringIO()
    Console(file=stream, width=80).print(front_details(trials[-1:]))
    assert stream.getvalue() == "no front yet: none of 1 trials has completed\n"
