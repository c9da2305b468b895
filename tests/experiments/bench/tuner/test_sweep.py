"""The sweep benchmark: its plan, its comparisons at equal cost, its report, and one small run of it."""

import json
import os

import numpy as np
import pytest

from experiments.bench import harness
from experiments.bench.tuner import report, runs, sweep
from experiments.bench.tuner.measures import Job, Measures
from experiments.bench.tuner.sweep import Settings, plan
from neocarbs_jax import synthetic


def measures(fraction: list[float], cost: list[float]) -> Measures:
    spend = np.full(5, 0.2)
    return Measures(np.array(fraction), np.cumsum(cost), spend, 0.1, (0.5, 0.9), (0.4, 0.8), 0.0, 0.05)


def test_plan_runs_every_task_once_before_any_task_again():
    jobs = plan(Settings(tasks=("rl", "log"), strategies=("neocarbs", "optuna_gp"), seeds=2, trials=7))
    assert jobs[:4] == [Job("neocarbs", task, seed, 7) for seed in range(2) for task in ("rl", "log")]
    assert len(jobs) == 8


def test_short_form_gives_slow_peers_fewer_tasks_seeds_and_trials(tmp_path):
    jobs = [job for job in plan(Settings(tables=tmp_path)) if job.strategy == "botorch_qlognehvi"]
    assert jobs == [Job("botorch_qlognehvi", task, 0, 50) for task in ("log", "rl")]


def test_comparison_at_equal_cost_counts_the_trials_that_fit():
    swept = measures([0.2, 0.5, 0.6], [1.0, 2.0, 7.0])
    at = [report.fraction_at_cost(swept, budget) for budget in (0.5, 1.0, 3.1, 10.0)]
    assert at == [0.0, 0.2, 0.5, 0.6]
    assert np.isnan(report.fraction_at_cost(swept, 100.0))  # it never spent that much


def test_measures_survive_a_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep.finished("some").merge([{"key": "a"} | measures([0.1], [2.0]).as_row()])
    (row,) = sweep.finished("some").rows
    again = Measures.of_row(row)
    np.testing.assert_allclose(again.cumulative_cost, [2.0])
    assert again.coverage_score[1] == 0.9


def test_report_has_medians_the_missing_sweeps_and_versions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = {Job("neocarbs", "rl", seed, 25): measures([0.1 * (seed + 1)] * 25, [1.0] * 25) for seed in range(3)} | {
        Job("random", "rl", 0, 25): measures([0.05] * 25, [1.0] * 25)
    }
    text = report.write(tmp_path, "tiny", results, [Job("optuna_gp", "log", 1, 25)])
    assert text == (tmp_path / "tiny.md").read_text()
    assert "| rl | .200 (.150 to .250) | .050 (.050 to .050) |" in text
    assert "- optuna_gp on log, seed 1" in text
    document = json.loads((tmp_path / harness.RAW / "tiny.json").read_text())
    assert document["stamp"]["versions"]["jax"]
    assert document["sweeps"][0]["fraction"] == {"25": 0.1}
    assert (tmp_path / "tiny.png").stat().st_size > 1000


def test_a_sweep_runs_with_the_same_noise_whoever_suggests():
    task = synthetic.make("rl")
    random = runs.run("random", task, seed=3, num_trials=4)
    again = runs.run("random", task, seed=3, num_trials=4)
    np.testing.assert_array_equal(random.score, again.score)
    genetic = runs.run("optuna_nsga2", task, seed=3, num_trials=4)
    assert genetic.unit.shape == random.unit.shape == (4, 11)
    assert np.isnan(genetic.predicted_score).all()
    snapped = task.space.to_unit(task.space.from_unit(genetic.unit[0]))
    np.testing.assert_allclose(snapped, genetic.unit[0], atol=1e-6)  # integers are integers to the peer


def test_a_finished_sweep_is_not_run_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))  # the head of a page names it
    settings = Settings(tasks=("ridge",), strategies=("random",), seeds=1, trials=3, out=tmp_path, name="once")
    sweep.main(settings)
    first = capsys.readouterr().out
    monkeypatch.setattr(sweep, "run_job", lambda *_: pytest.fail("it ran again"))
    sweep.main(settings)
    assert capsys.readouterr().out == first


def test_unknown_strategy_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"`strategy` must be one of neocarbs, .*got 'hyperband'"):
        runs.run("hyperband", synthetic.make("rl"), 0, 3)
