"""The report in a real browser: every figure draws; skipped where no Chromium is installed."""

import shutil
import subprocess

import pytest

from neocarbs_jax.report import report
from neocarbs_jax.study.ledger import Trial

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OFFLINE = "--disable-background-networking --disable-component-update --disable-sync --no-first-run --disable-quic"


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_every_figure_of_the_page_draws(tmp_path):
    trials = [
        Trial(i, {"lr": 10.0**-i, "size": 2**i}, "completed", float(i), 1.0 + i, predicted_score=i + 0.1,
              predicted_score_std=0.2, predicted_cost=1.1 + i, predicted_cost_std=0.1)
        for i in range(5)
    ]  # fmt: skip
    page, *_ = report.write(tmp_path, trials, {"lr": True, "size": False}, title="in a browser")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", *OFFLINE.split(), f"--user-data-dir={tmp_path}/profile"]
    command = [CHROMIUM, *flags, "--virtual-time-budget=10000", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    body = dom[dom.index("<body") :]
    assert body.count('class="plotly-graph-div js-plotly-plot"') == 4
    assert "Cumulative cost against cost" in body
    assert body.count('<path class="point"') >= 5 + 5 + 10 + 10  # front, spending, predictions, hyperparameters
