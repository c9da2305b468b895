"""Statistics and records of the learning benchmark."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from experiments.bench.learner import runs
from experiments.bench.learner.learning import ABLATIONS, Args, Records, page_of, settings_of
from experiments.bench.learner.report import (
    area_and_end,
    check_comparable,
    comparison_table,
    interquartile_mean,
    pictures,
    share,
)
from experiments.bench.learner.runs import FORMER, Record, Setting, compared_of, trained_config
from p3o_jax.settings import Params

RESULTS = Path(__file__).parents[4] / "experiments" / "results" / "learning"
P3O, LAGS, PPO = Setting("p3o", {}), Setting("p3o", {"bands": 0}), Setting("gae", {"gamma": 0.99, "gae_lambda": 0.95})


def record(task="pong", estimator="gae", score=((-21.0, 0.0), (-21.0, 2.0)), **values):
    rows = [list(row) for row in score]
    return Record(task, estimator, values, 5e-3, [1.0, 2.0], rows, [], 1.0, "command", "versions")


def test_the_interquartile_mean_is_that_of_the_middle_half():
    assert interquartile_mean(np.array([100.0, 3, 1, 2, -50, 4, 0, 7])) == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert interquartile_mean(np.array([0.0, 10, 90])) == pytest.approx((0.25 * 0 + 10 + 0.25 * 90) / 1.5)


def test_areas_skip_intervals_in_which_no_episode_ended():
    area, end = area_and_end(record(score=((None, 1.0, 3.0, None), (None, None, 5.0, None))))
    np.testing.assert_array_equal(area, [2.0, 5.0])
    np.testing.assert_array_equal(end, [3.0, 5.0])


def test_shares_count_from_the_lowest_score():
    """Pong's lowest is -21: areas -10 and -15.75 lie 11 and 5.25 above it."""
    assert share(record(score=((-31.5, 0.0),)), record(score=((-21.0, 1.0),))) == pytest.approx(5.25 / 11)


def test_a_new_record_replaces_the_old_one_of_its_setting(tmp_path):
    pairs = [record(gamma=0.99, gae_lambda=0.95), record(gamma=0.9, gae_lambda=0.8, score=((-21.0, -21.0),))]
    again = record(gamma=0.9, gae_lambda=0.8, score=((21.0, 21.0),))
    records = Records(tmp_path / "records.json.gz")
    records.merge([*pairs, record("cartpole", "p3o")])
    records.merge([again])
    merged = Records(tmp_path / "records.json.gz").all
    assert merged == records.all
    assert [r.task for r in merged] == ["cartpole", "pong", "pong"]
    assert "ppo tuned (0.9, 0.8) of 2" in comparison_table(merged)


@pytest.mark.parametrize("name", ["ablation_tau", "breakout_long/full"])
def test_kept_pages_are_what_the_kept_records_give(name):
    file = RESULTS / f"{name}.json.gz"
    records = Records(file).all
    drawn = list(pictures(records)) if file.name == "full.json.gz" else []
    ablation = None if drawn else file.name.removeprefix("ablation_").removesuffix(".json.gz")
    assert page_of(records, ablation, drawn) == (RESULTS / f"{name}.md").read_text()
    assert all((file.parent / picture).exists() for picture in drawn)


def test_records_of_other_budgets_are_refused():
    kept = [record(), record("cartpole")]  # two steps each
    check_comparable(kept, {"pong": 1.9, "catch": 7.0}, [PPO], {})
    with pytest.raises(ValueError, match="got 2 steps of cartpole there, 4 now"):
        check_comparable(kept, {"pong": 2.0, "cartpole": 4.0}, [PPO], {})


def test_records_of_other_settings_are_refused():
    kept = [dataclasses.replace(record(), fixed={"tau": 0.1, "optimizer": "muon", "gamma": 0.9})]
    check_comparable(kept, {}, [PPO], {"optimizer": "muon", "tau": 0.1, "gamma": 0.99})
    with pytest.raises(
        ValueError, match=r"got clip=its default there, 0\.3 now; optimizer=muon there, its default now"
    ):
        check_comparable(kept, {}, [PPO], {"tau": 0.1, "clip": 0.3})


def test_records_of_other_shapes_are_refused_and_lags_stand_beside_bands():
    old = [record(estimator="p3o", bands=0), record(gamma=0.9), record(estimator="original")]
    configs = [trained_config(Setting(each.estimator, each.values), {}) for each in old]
    new = [dataclasses.replace(each, shape=compared_of(config)) for each, config in zip(old, configs, strict=True)]
    check_comparable([*old, *new], {}, [P3O, LAGS, PPO], {})
    with pytest.raises(ValueError, match="got segment_length=128 there, 64 now"):
        check_comparable(new, {}, [P3O], {"segment_length": 64})
    with pytest.raises(ValueError, match="got bands=0 there, 8 now"):
        check_comparable([record(estimator="p3o")], {}, [P3O], {})


def test_what_fits_only_the_estimator_that_is_run_is_compared():
    """128 minibatches of samples, but not of the 64 environments."""
    fixed = {"minibatches_of": "samples", "num_minibatches": 128}
    check_comparable([dataclasses.replace(record(), fixed=fixed)], {}, [P3O, PPO], fixed)
    with pytest.raises(ValueError, match="got minibatches_of=its default there, samples now; num_minibatches=8 there"):
        check_comparable([record(estimator="original")], {}, [PPO], fixed)


def test_ablations_of_lags_stand_beside_older_records_of_the_same():
    older = [record(estimator="p3o", tau_rule="explained", tau=0.4), record(estimator="p3o", tau=0.1)]
    check_comparable(older, {}, [Setting("p3o", values) for values in ABLATIONS["tau_rule"]], {})


def test_what_was_in_force_is_known_whatever_gave_it():
    given = dataclasses.replace(record(estimator="p3o", horizon=32), fixed={"num_envs": 512, "horizon": 64, "tau": 0.1})
    assert given.in_force == FORMER | {"num_envs": 512, "horizon": 32}
    shape = compared_of(trained_config(Setting("p3o", given.values), given.fixed))
    whole = dataclasses.replace(given, shape=shape)
    assert whole.in_force == shape
    assert (shape["num_envs"], shape["segment_length"], shape["horizon"], shape["bands"]) == (512, 16, 32, 6)


def test_what_is_fixed_reaches_every_training(monkeypatch):
    seen = []

    def train_all(env, config, settings, num_seeds, seed):
        seen.append((config, settings))
        raise InterruptedError

    monkeypatch.setattr(runs, "train_all", train_all)
    for setting in (Setting("p3o", {"tau": 0.3}), Setting("gae", {"gamma": 0.9})):
        with pytest.raises(InterruptedError):
            runs.make_records("catch", [setting], Params(), 1, 0, {"num_envs": 128, "clip": 0.1})
    (p3o, [its]), (gae, [others]) = seen
    assert (p3o.estimator, p3o.num_envs, its.tau, its.clip) == ("p3o", 128, 0.3, 0.1)
    assert (gae.estimator, gae.num_envs, others.gamma, others.clip) == ("gae", 128, 0.9, 0.1)


def test_what_is_set_is_neither_searched_nor_cut(tmp_path):
    args = Args(coarse=True, tasks=("breakout",), set=("total_steps=2e7", "gae_lambda=.8"), out=tmp_path)
    assert args.budgets == {"breakout": 2e7}
    grid = [setting.values for setting in settings_of(args)["gae"]]
    assert grid == [{"gamma": gamma, "gae_lambda": 0.8} for gamma in (0.95, 0.99, 0.997)]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("set", ("network.width=8",), "`set` must name fields of Params or Config, .* got network.width."),
        ("set", ("estimator=gae",), "not the estimator; got estimator."),
        ("set", ("num_minibatches=6",), "`num_minibatches` must divide `num_envs`; got 6 and 64."),
        ("set", ("tau=.1",), "`out` must be another folder where `set` is given"),
        ("tasks", ("pang",), "`tasks` must be among"),
        ("ablation", "luck", "`ablation` must be one of"),
        ("seeds", 0, "`seeds` must be at least 1; got 0."),
    ],
)
def test_bad_arguments_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        Args(**{name: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimators": ("p3o", "lags"), "set": ("minibatches_of=samples",)}, "`minibatches_of` must be environments"),
        ({"ablation": "tau_rule", "set": ("minibatches_of=samples",)}, "`minibatches_of` must be environments"),
        ({"ablation": "step", "set": ("num_envs=60",)}, "`num_minibatches` must divide `num_envs`; got 32 and 60."),
        ({"estimators": ("p3o", "lags"), "set": ("bands=0",)}, "the estimator lags sets; got bands."),
        ({"ablation": "tau", "set": ("tau=.3", "floor=.2")}, "what the ablation .* sets; got tau."),
    ],
)
def test_every_setting_of_a_run_is_checked_before_it_begins(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Args(**arguments, out=tmp_path)


def test_what_some_estimators_alone_can_do_is_theirs(tmp_path):
    assert Args(estimators=("lags",), set=("tau_rule=explained",), out=tmp_path)
    assert Args(estimators=("p3o", "gae"), set=("minibatches_of=samples", "num_minibatches=128"), out=tmp_path)
    assert Args(estimators=("p3o",), set=("bands=0",), out=tmp_path)
