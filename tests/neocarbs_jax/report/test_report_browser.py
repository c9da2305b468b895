"""The report in a real browser, wide and narrow: every figure draws and nothing covers anything.

Skipped where no Chromium is installed.
"""

import json
import re
import shutil
import subprocess

import pytest

from neocarbs_jax import Integer, Log, Logit, SearchSpace
from neocarbs_jax.report import report
from neocarbs_jax.study.trials import Trial

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OFFLINE = "--disable-background-networking --disable-component-update --disable-sync --no-first-run --disable-quic"
EVIL = "</script><img src=x onerror=alert(1)>"
NUM_FIGURES = 1 + 1 + 3 + 2 + 4 + 4 + 1  # front, spending, predictions, progress, each value twice, parallel

PROBE = """<script>
const errors = [];
window.onerror = message => errors.push(String(message));
const box = e => e.getBoundingClientRect();
const touch = (a, b) =>
  a.width && b.width && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
const pairs = boxes => boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b => touch(a, b)));
setTimeout(() => {
  const plots = [...document.querySelectorAll(".js-plotly-plot")];
  const all = (plot, what) => [...plot.querySelectorAll(what)].map(box);
  const found = {
    labels: plots.reduce((n, p) => n + all(p, ".xtick text").length, 0),
    titles: plots.reduce((n, p) => n + all(p, ".gtitle").length, 0),
    errors, drawn: plots.length, dots: document.querySelectorAll("path.point").length,
    images: document.querySelectorAll("body img").length,
    ticks: plots.map(p => pairs(all(p, ".xtick text")).length + pairs(all(p, ".ytick text")).length),
    bars: plots.filter(p => all(p, ".gtitle").some(t => all(p, ".modebar-group").some(m => touch(t, m)))).length,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    columns: new Set(plots.map(p => Math.round(box(p).left))).size,
  };
  parent.postMessage(JSON.stringify(found), "*");
}, 8000);
</script>"""
FRAME = """<!doctype html><body style="margin:0"><iframe src="page.html" 
 style="width:%dpx;height:14000px;border:0"></iframe>
<script>addEventListener("message", e => { document.body.dataset.found = e.data; });</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    trials = [
        Trial(i, {"lr": 10.0 ** -(1 + i % 5), "gamma": 1 - 10.0 ** -(1 + i % 4), "size": 1 + i, EVIL: 0.1 + i},
              "completed", float(i), 1.0 + 3 * i, predicted_score=i + 0.1, predicted_score_std=0.2,
              predicted_cost=1.1 + i, predicted_cost_std=0.1, rating=0.1 / (1 + i))
        for i in range(12)
    ]  # fmt: skip
    trials.append(Trial(12, trials[0].values, "failed", cost=2.0, reason=EVIL))
    space = SearchSpace(lr=Log(1e-5, 0.1), gamma=Logit(0.8, 0.9999), size=Integer(1, 20), **{EVIL: Log(0.1, 100.0)})
    log_axes = {name: axis.is_log for name, axis in space.axes}
    folder = tmp_path_factory.mktemp("page")
    written, *_ = report.write(folder, trials, log_axes, title=EVIL, space=space, sweep=EVIL)
    text = written.read_text()
    (folder / "page.html").write_text(text.replace("</body></html>", PROBE + "</body></html>"))
    return folder


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(("width", "columns"), [(1280, 3), (390, 1)])
def test_figures_draw_and_nothing_overlaps(page, width, columns):
    (page / "frame.html").write_text(FRAME % width)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", *OFFLINE.split(), f"--user-data-dir={page}/profile"]
    size = ["--window-size=1300,14000", "--virtual-time-budget=20000", "--dump-dom"]
    command = [CHROMIUM, *flags, *size, (page / "frame.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    match = re.search(r'data-found="([^"]*)"', dom)
    assert match, "the page came to its end"
    found = json.loads(match.group(1).replace("&quot;", '"'))
    assert found["errors"] == []
    assert found["drawn"] == NUM_FIGURES
    assert found["dots"] >= 12 * 10
    assert found["images"] == 0, "names are shown, not run"
    assert found["labels"] > 3 * (NUM_FIGURES - 1), "there are labels to look at"
    assert found["titles"] == NUM_FIGURES
    assert found["ticks"] == [0] * NUM_FIGURES, "tick labels do not touch"
    assert found["bars"] == 0, "no toolbar covers a title"
    assert found["overflow"] <= 0, "the page does not scroll sideways"
    assert found["columns"] >= columns if columns > 1 else found["columns"] == 1, "panels stack in a narrow window"
