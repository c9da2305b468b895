"""NeoCARBS inside Ray Tune, a real one."""

import os
import signal
import subprocess
import sys
import textwrap
import warnings

import pytest

from neocarbs_jax.space import Choice, Integer, Log, SearchSpace
from neocarbs_jax.study import Study

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own imports warn
    tune = pytest.importorskip("ray.tune")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's processes and files warn all along


def search_of(study, **options):
    from neocarbs_jax.ray_tune import NeoCARBSSearch

    return NeoCARBSSearch(study, **options)


def fit(search, train, folder, num_samples, **options):
    tuner = tune.Tuner(
        train,
        tune_config=tune.TuneConfig(search_alg=search, num_samples=num_samples, **options),
        run_config=tune.RunConfig(storage_path=str(folder / "ray"), verbose=0),
    )
    return tuner.fit()


def test_ray_runs_trials_of_a_study(tmp_path):
    def train(config):
        if config["epochs"] == 8:
            raise FloatingPointError("diverged")
        tune.report({"score": config["optimizer"]["lr"], "cost": float(config["epochs"])})

    space = SearchSpace(optimizer={"lr": Log(1e-5, 1e-1)}, epochs=Integer(1, 8))
    study = Study.create(space, f"sqlite:///{tmp_path}/study.db", strategy="random")
    fit(tune.search.ConcurrencyLimiter(search_of(study, cost="cost"), max_concurrent=2), train, tmp_path, 6)
    assert len(study.trials) == 6
    assert {t.status for t in study.trials} <= {"completed", "failed"}
    for trial in study.trials:
        assert (trial.status == "failed") == (trial.values["epochs"] == 8)
        assert trial.status == "failed" or trial.score == trial.values["optimizer/lr"]


def test_a_metric_to_minimise_is_a_negative_score(tmp_path):
    study = Study.create(SearchSpace(x=Log(0.1, 10)), f"sqlite:///{tmp_path}/study.db", strategy="random")
    with pytest.raises(ValueError, match="`mode` must be max or min; got 'least'"):
        search_of(study, mode="least")
    search = search_of(study, score="loss", mode="min")
    fit(search, lambda config: tune.report({"loss": config["x"]}), tmp_path, 2)
    assert [t.score for t in study.trials] == [-t.values["x"] for t in study.trials]


@pytest.mark.parametrize("reported", [{"other": 1.0}, {"score": "high", "cost": 1.0}, {"score": 1.0, "cost": -1.0}])
def test_what_is_no_measurement_is_a_failed_trial(tmp_path, monkeypatch, reported):
    monkeypatch.setenv("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    study = Study.create(SearchSpace(x=Log(0.1, 10)), f"sqlite:///{tmp_path}/study.db", strategy="random")
    search = search_of(study, cost="cost")
    for trial_id in ("a", "b"):
        search.suggest(trial_id)
    search.on_trial_complete("a", reported)
    search.on_trial_complete("b", None, error=True)
    search.on_trial_complete("unknown", {"score": 1.0, "cost": 1.0})
    assert [t.status for t in study.trials] == ["failed", "failed"]
    assert study.trials[0].reason.startswith("it ")
    assert study.trials[1].reason == "it raised in Ray"


@pytest.mark.parametrize("got", [None, "3", float("-inf"), float("nan"), [1]])
def test_a_budget_that_is_none_ends_no_search(tmp_path, got):
    study = Study.create(SearchSpace(epochs=Integer(1, 9)), f"sqlite:///{tmp_path}/study.db", strategy="random")
    search = search_of(study, cost="cost", budget={"epochs": "it"})
    search.suggest("a")
    search.on_trial_complete("a", {"score": 1.0, "cost": 1.0, "it": got})
    assert study.trials[0].status in ("completed", "failed")


def test_names_that_ray_cannot_nest_are_refused(tmp_path):
    study = Study.create(SearchSpace(a=Log(1, 2), **{"a/b": Log(1, 2)}), f"sqlite:///{tmp_path}/study.db")
    with pytest.raises(ValueError, match="Names of the space must not be prefixes of others, for Ray; got 'a'"):
        search_of(study)


def test_a_trial_that_a_scheduler_stops_is_one_of_the_budget_that_it_got(tmp_path):
    def train(config):
        for epoch in range(config["epochs"]):
            tune.report({"score": config["quality"], "cost": epoch + 1.0})

    space = SearchSpace(epochs=Integer(8, 9), quality=Choice((0.0, 1.0, 2.0, 3.0)))
    study = Study.create(space, f"sqlite:///{tmp_path}/study.db", strategy="random")
    with pytest.raises(ValueError, match=r"`budget` must name axes of the study .epochs, quality.; got 'steps'"):
        search_of(study, budget={"steps": "training_iteration"})
    search = search_of(study, cost="cost", budget={"epochs": "training_iteration"})
    scheduler = tune.schedulers.ASHAScheduler(max_t=9, grace_period=2, reduction_factor=4)
    limited = tune.search.ConcurrencyLimiter(search, max_concurrent=1)
    fit(limited, train, tmp_path, 12, metric="score", mode="max", scheduler=scheduler)
    stopped = [t for t in study.trials if t.attrs.get("stopped_early")]
    whole = [t for t in study.trials if not t.attrs.get("stopped_early")]
    assert stopped
    assert whole
    for trial in study.trials:
        assert trial.values["epochs"] == trial.cost == trial.attrs["training_iteration"]
    assert max(t.values["epochs"] for t in stopped) < 8 <= min(t.values["epochs"] for t in whole)


DRIVER = """
    import os, sys, time
    from ray import tune
    from neocarbs_jax.space import Log, SearchSpace
    from neocarbs_jax.study import Study
    from neocarbs_jax.ray_tune import NeoCARBSSearch

    folder, restore = sys.argv[1], sys.argv[2] == "restore"

    def train(config):
        if not os.path.exists(folder + "/restored"):
            time.sleep(3600 if os.path.exists(folder + "/done") else 0)
        open(folder + "/done", "w").close()
        tune.report({"score": config["x"], "cost": 1.0})

    study = Study.create(SearchSpace(x=Log(0.1, 10)), f"sqlite:///{folder}/study.db", strategy="random")
    search = tune.search.ConcurrencyLimiter(NeoCARBSSearch(study, cost="cost"), max_concurrent=2)
    if restore:
        open(folder + "/restored", "w").close()
        tuner = tune.Tuner.restore(folder + "/ray/run", train, restart_errored=True)
    else:
        tuner = tune.Tuner(
            train,
            tune_config=tune.TuneConfig(search_alg=search, num_samples=5),
            run_config=tune.RunConfig(storage_path=folder + "/ray", name="run", verbose=0),
        )
    print("starting", flush=True)
    tuner.fit()
    print("ended", flush=True)
"""


def test_a_search_whose_driver_was_killed_goes_on(tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(textwrap.dedent(DRIVER))
    command = [sys.executable, script, tmp_path]
    environment = {**os.environ, "TUNE_GLOBAL_CHECKPOINT_S": "0", "PYTHONWARNINGS": "ignore"}
    options = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*command, "start"], start_new_session=True, **options) as driver:
        storage = f"sqlite:///{tmp_path}/study.db"
        while not (tmp_path / "done").exists():
            assert driver.poll() is None
        study = Study.load(storage)
        while sum(t.status == "running" for t in study.trials) < 2:
            assert driver.poll() is None
        os.killpg(driver.pid, signal.SIGKILL)
    done = subprocess.run([*command, "restore"], env=environment, capture_output=True, text=True, timeout=300)
    assert "ended" in done.stdout, done.stderr[-2000:]
    trials = Study.load(storage).trials
    completed = [t for t in trials if t.status == "completed"]
    assert len(completed) == 5
    assert all(t.score == t.values["x"] for t in completed)
    assert not [t for t in trials if t.status == "running"]
