"""Pictures, tables and pages of a ledger."""

import csv
import io
import math
import re

import matplotlib.image
import pytest
from rich.console import Console

from neocarbs_jax import plots, report
from neocarbs_jax.ledger import Trial, pareto_front
from neocarbs_jax.progress import Progress, front_details


def completed(number, score, cost, **values):
    expected = {"predicted_score": score + 0.1, "predicted_score_std": 0.2, "predicted_cost": cost * 1.1}
    return Trial(
        number, values or {"lr": 10.0**-number, "size": 64}, "completed", score, cost, **expected,
        predicted_cost_std=0.1, rating=0.5 / (number + 1),
    )  # fmt: skip


@pytest.fixture
def trials():
    return [
        completed(0, 1.0, 10.0),
        completed(1, 2.0, 20.0),
        completed(2, 1.5, 30.0),
        completed(3, 3.0, 40.0),
        completed(4, 3.0, 45.0),
        Trial(5, {"lr": 1.0, "size": 64}, "failed", cost=5.0, reason="non-finite <value> loss"),
        Trial(6, {"lr": 1.0, "size": 64}, "interrupted"),
        Trial(7, {"lr": 1.0, "size": 64}, "running"),
    ]


LOG_AXES = {"lr": True, "size": False}


def test_the_front_holds_what_no_cheaper_trial_beats(trials):
    assert [t.number for t in pareto_front(trials)] == [0, 1, 3]


def test_spending_counts_failed_trials_and_ends_at_one(trials):
    [curve] = plots.spend_figure(trials).data
    assert list(curve.x) == [5.0, 10.0, 20.0, 30.0, 40.0, 45.0]
    assert curve.y[-1] == pytest.approx(1.0)
    assert curve.y[0] == pytest.approx(5 / 150)


def test_each_hyperparameter_has_a_scatter_on_its_own_scale(trials):
    figure = plots.hyperparameter_figure(trials, LOG_AXES)
    assert len(figure.data) == 2
    assert (figure.layout.xaxis.type, figure.layout.xaxis2.type) == ("log", None)


@pytest.mark.parametrize("keep", [0, 1, 8])
def test_a_report_is_written_from_any_number_of_trials(trials, tmp_path, keep):
    page, picture, table = report.write(tmp_path / "out", trials[:keep], LOG_AXES, title="a <b>")
    text = page.read_text()
    assert "a &lt;b&gt;" in text
    assert re.search(r"<(script|link)[^>]*(src|href)=", text) is None, "self-contained"
    assert matplotlib.image.imread(picture).shape[2] == 4
    with table.open() as file:
        assert len(list(csv.DictReader(file))) == keep


def test_the_csv_holds_what_the_ledger_holds(trials, tmp_path):
    report.write_csv(tmp_path / "trials.csv", trials)
    with (tmp_path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["lr"]) == 0.1
    assert math.isclose(float(rows[1]["predicted_cost"]), 22.0)
    assert rows[5]["reason"] == "non-finite <value> loss"


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
