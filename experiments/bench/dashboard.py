"""How fast the dashboard is with many trials, in a real browser: opening it, other figures, a filter, a click.

    python -m experiments.bench.dashboard                       # 2000 trials that are made up
    python -m experiments.bench.dashboard --storage runs/a.db   # a study of one's own

Times are those that a person waits: from the key or click until the last figure is drawn and the table stands, by
the browser's clock. The pause of 150 ms in which further digits are waited for is part of it. No surrogates
are fitted.
"""

import dataclasses
import math
import shutil
import statistics
import threading
import time
from pathlib import Path

import numpy as np
import tyro
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState, create_trial
from playwright.sync_api import Page, sync_playwright

from experiments.bench import harness
from experiments.common import user_errors
from neocarbs_jax import Choice, Integer, Linear, Log, Logit, Pow2, SearchSpace, Study, dashboard
from neocarbs_jax.dashboard.views import VIEWS
from neocarbs_jax.space import to_optuna

SPACE = SearchSpace(
    learning_rate=Log(1e-5, 1e-1), entropy_coef=Log(1e-4, 1e-1), clip=Linear(0.05, 0.5), gamma=Logit(0.8, 0.9999),
    num_envs=Pow2(16, 4096), epochs=Integer(1, 9), total_steps=Log(1e5, 1e8), optimizer=Choice(("adam", "muon", "sgd")),
)  # fmt: skip
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

WAIT = """change => new Promise(resolve => {
  const begun = performance.now();
  let quiet;
  const settled = () => {
    clearTimeout(quiet);
    const now = performance.now() - begun;
    quiet = setTimeout(() => { watch.disconnect(); resolve(now); }, 1500);
  };
  const heard = new WeakSet();
  const hear = () => document.querySelectorAll("#figures .js-plotly-plot").forEach(plot => {
    if (!heard.has(plot) && plot.on) { heard.add(plot); plot.on("plotly_afterplot", settled); }
  });
  const watch = new MutationObserver(() => { hear(); settled(); });
  for (const part of ["figures", "table", "trial-body"]) {
    watch.observe(document.getElementById(part), {childList: true});
  }
  hear();
  const set = (selector, value) => {
    const field = document.querySelector(selector);
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, value);
    field.dispatchEvent(new Event("input", {bubbles: true}));
  };
  change.click ? document.querySelector(change.click).click() : set(change.field, change.value);
})"""
"""Do something, and return the milliseconds until the page last changed before a second and a half of rest."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        storage: of a study of one's own, whose newest is taken.
        trials: number of made-up ones.
        rounds: of which the median counts.
        out: file of the table.
    """

    storage: str | None = None
    trials: int = 2000
    rounds: int = 3
    out: Path = harness.RESULTS / "dashboard.md"


def made_up(number: int) -> BaseStorage:
    """Return a storage in memory with a study of so many trials, one in twenty failed."""
    storage, rng = InMemoryStorage(), np.random.default_rng(0)
    study = Study.create(SPACE, storage, name="many", compilation_cache=False)
    distributions = to_optuna(SPACE)
    for unit in rng.uniform(size=(number, SPACE.size)):
        values = SPACE.from_unit(unit)
        cost = values["total_steps"] / 1e6 * rng.lognormal(0, 0.1)
        quality = math.exp(-((math.log10(values["learning_rate"]) + 3) ** 2) / 2)
        score = 400 * quality * math.log10(values["total_steps"] / 1e4) / 4 + 5 * rng.normal()
        score_std, cost_std = 15.0, 0.1 * cost
        attrs = {
            "predicted_score": score + score_std * rng.normal(), "predicted_score_std": score_std,
            "predicted_cost": cost + cost_std * rng.normal(), "predicted_cost_std": cost_std,
            "rating": 0.1 * rng.uniform(),
        }  # fmt: skip
        fails = rng.uniform() < 0.05
        row = create_trial(
            state=TrialState.FAIL if fails else TrialState.COMPLETE, params=values, distributions=distributions,
            values=None if fails else [score, cost],
            user_attrs={**attrs, "reason": "non-finite loss", "cost": cost} if fails else attrs,
        )  # fmt: skip
        storage.create_new_trial(study.optuna_study._study_id, template_trial=row)
    return storage


def measure(page: Page, url: str, rounds: int) -> list[list[str]]:
    """Return rows of what was done and how many milliseconds it took."""
    rows = []

    def add(what: str, times: list[float]) -> None:
        rows.append([what, f"{statistics.median(times):.0f}", f"{min(times):.0f}"])
        print("  ".join(rows[-1]), flush=True)

    opened = []
    for _ in range(rounds):
        begun = time.perf_counter()
        page.goto(url)
        page.wait_for_function("() => document.querySelector('#figures path.point') && document.querySelector('td')")
        opened.append(1e3 * (time.perf_counter() - begun))
    add("open the page: front drawn, table there", opened)
    score = "input[name='score']"
    for index, view in enumerate(VIEWS):
        if view == "compare":
            continue
        chosen = f"#view label:nth-of-type({index + 1}) input"
        add(f"{view}: show it", [page.evaluate(WAIT, {"click": chosen})])
        times = [page.evaluate(WAIT, {"field": score, "value": f"{50 + 10 * i}"}) for i in range(rounds)]
        add(f"{view}: filter by score", times)
        page.evaluate(WAIT, {"field": score, "value": ""})
    page.evaluate(WAIT, {"click": "#view label:nth-of-type(1) input"})
    picks = [{"click": f"#table tbody tr:nth-child({i + 1}) button"} for i in range(rounds)]
    add("front: choose a trial", [page.evaluate(WAIT, pick) for pick in picks])
    return rows


def main(settings: Settings) -> None:
    """Measure, and write the table."""
    if CHROMIUM is None:
        raise ValueError("`chromium` must be installed; got none.")
    app = dashboard.make(settings.storage or made_up(settings.trials), fits=False)
    ports: list[int] = []
    threading.Thread(target=dashboard.serve, args=(app, "127.0.0.1", 0, ports.append), daemon=True).start()
    while not ports:
        time.sleep(0.01)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        rows = measure(page, f"http://127.0.0.1:{ports[0]}", settings.rounds)
        browser.close()
    measured = harness.stamp("dash", "plotly")
    count = f"the newest study of {settings.storage}" if settings.storage else f"{settings.trials} made-up trials"
    said = f"Milliseconds until the page stood still, with {count}; see `experiments/bench/dashboard.py`."
    table = harness.table(["what", "median", "least"], rows)
    harness.write_text(settings.out, harness.page("The dashboard with many trials", measured, said, table))


if __name__ == "__main__":
    with user_errors():
        main(tyro.cli(Settings))
