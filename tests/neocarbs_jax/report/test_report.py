"""Pages and tables of a ledger."""

import csv
import dataclasses
import math
import re

import matplotlib.image
import numpy as np
import pytest

from neocarbs_jax import Linear, Log, SearchSpace
from neocarbs_jax.report import picture, report
from neocarbs_jax.report.plots import Snapshot
from neocarbs_jax.study.expectation import ExpectedPoint

LOG_AXES = {"lr": True, "size": False}


@pytest.mark.parametrize("keep", [0, 1, 8])
def test_a_report_is_written_from_any_number_of_trials(trials, tmp_path, keep):
    page, picture, table = report.write(tmp_path / "out", trials[:keep], LOG_AXES, title="a <b>")
    text = page.read_text()
    assert "a &lt;b&gt;" in text
    assert re.search(r"<(script|link)[^>]*(src|href)=", text) is None, "self-contained"
    assert matplotlib.image.imread(picture).shape[2] == 4
    with table.open() as file:
        assert len(list(csv.DictReader(file))) == keep


@pytest.mark.parametrize("cost", [0.004414, 1e6])
def test_costs_that_differ_by_rounding_alone_have_a_picture(trials, tmp_path, cost):
    """The expected cost of a lone trial is its cost, but for the last bits; both lie on a logarithmic axis."""
    for bits in (-5, -1, 0, 1, 3):
        trial = dataclasses.replace(trials[0], cost=cost)
        point = ExpectedPoint(trial, trial.values, cost + bits * float(np.spacing(cost)), 1.0, 0.5, 1.5)
        lone = Snapshot("lone", [trial], [point], LOG_AXES)
        picture.write_png(tmp_path / "front.png", lone, title="one trial")
    picture.write_comparison(tmp_path / "two.png", lone, lone)
    assert matplotlib.image.imread(tmp_path / "front.png").shape[2] == 4


def test_the_csv_holds_what_the_ledger_holds(trials, tmp_path):
    report.write_csv(tmp_path / "trials.csv", trials)
    with (tmp_path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["lr"]) == 0.1
    assert math.isclose(float(rows[1]["predicted_cost"]), 22.0)
    assert rows[5]["reason"] == "non-finite <value> loss"


def test_a_report_shows_the_curves_and_training_scores_of_the_front(trials, tmp_path):
    page, *_ = report.write(tmp_path / "out", trials, LOG_AXES, title="plain")
    assert "Learning curves" not in page.read_text()
    seen = {"training_score": 0.125, "learning_curve": [[10.0, 0.1, 1.0], [20.0, 0.125, 2.0]]}
    trials = [dataclasses.replace(trial, attrs={**trial.attrs, **seen}) for trial in trials]
    page, *_ = report.write(tmp_path / "out", trials, LOG_AXES, title="curves")
    assert "Learning curves" in page.read_text()
    assert "<th>training score</th>" in page.read_text()
    assert "<td>0.125</td>" in page.read_text()


def test_a_report_shows_space_failures_all_trials_and_the_sweep(trials, tmp_path):
    space = SearchSpace(lr=Log(1e-4, 1.0), size=Linear(0, 64), seed=7)
    page, *_ = report.write(tmp_path / "out", trials, LOG_AXES, title="t", space=space, sweep="[axes]\nlr = '<1>'")
    text = page.read_text()
    assert "<td>lr</td><td>Log</td><td>0.0001</td><td>1</td>" in text
    assert "<td>seed</td><td>fixed</td><td>7</td>" in text
    assert "List all 8" in text
    assert text.count('<tr class="failed">') == 1
    assert "non-finite &lt;value&gt; loss" in text
    (tmp_path / "out" / "sweep.toml").write_text("trials = 7\n")
    page, *_ = report.write(tmp_path / "out", trials, LOG_AXES, title="t")
    assert "<pre>trials = 7" in page.read_text(), "the file beside the report"
    assert "lr = &#x27;&lt;1&gt;&#x27;" in text
