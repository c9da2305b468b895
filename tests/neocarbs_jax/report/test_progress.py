"""The display of a running sweep, on a terminal and in a log file."""

import io

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
    first, second = stream.getvalue().splitlines()
    assert first == ("trial   3 [4/8]  score    3.000 (expected 3.1 ± 0.2)  cost   40.00 s (expected 44)  rating 0.125")
    assert second == "trial   5 [6/8]  failed: non-finite <value> loss"
    assert {"training", "suggesting"} <= set(progress.seconds)


def test_a_terminal_gets_a_page(trials):
    stream = io.StringIO()
    progress = Progress(8, console=Console(file=stream, force_terminal=True, width=120))
    with progress.running():
        progress.finished(trials[3], trials)
        progress.started(trials[-1])
        progress.console.print(progress._draw())
    assert "trial 8 of 8" in stream.getvalue()
    assert "front" in stream.getvalue()


def test_the_front_table_shows_each_hyperparameter(trials):
    stream = io.StringIO()
    Console(file=stream, width=100).print(front_details(trials))
    assert "lr" in stream.getvalue()
    assert "0.001" in stream.getvalue()
