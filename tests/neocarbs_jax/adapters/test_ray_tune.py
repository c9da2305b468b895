"""NeoCARBS inside Ray Tune, a real one; skipped without the extra `ray`."""

import warnings

import pytest

from neocarbs_jax.space import Integer, Log, SearchSpace
from neocarbs_jax.study import Study

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own imports warn
    tune = pytest.importorskip("ray.tune")

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's processes and files warn all along


def train(config):
    if config["epochs"] == 8:
        raise FloatingPointError("diverged")
    tune.report({"score": config["optimizer"]["lr"], "cost": float(config["epochs"])})


def test_ray_runs_trials_of_a_study(tmp_path):
    from neocarbs_jax.ray_tune import NeoCARBSSearch

    space = SearchSpace(optimizer={"lr": Log(1e-5, 1e-1)}, epochs=Integer(1, 8))
    study = Study.create(space, f"sqlite:///{tmp_path}/study.db")
    search = tune.search.ConcurrencyLimiter(NeoCARBSSearch(study, cost="cost"), max_concurrent=2)
    tuner = tune.Tuner(
        train,
        tune_config=tune.TuneConfig(search_alg=search, num_samples=4),
        run_config=tune.RunConfig(storage_path=str(tmp_path / "ray"), verbose=0),
    )
    tuner.fit()
    assert len(study.trials) == 4
    assert {t.status for t in study.trials} <= {"completed", "failed"}
    for trial in study.trials:
        assert (trial.status == "failed") == (trial.values["epochs"] == 8)
        assert trial.status == "failed" or trial.score == trial.values["optimizer/lr"]
