"""Spaces of other tuners as ours: what their packages draw lies in our space, and what ours draws is legal for them."""

import json
import math
import warnings

import numpy as np
import optuna
import pytest
from rich.console import Console

from neocarbs_jax import Choice, Integer, Linear, Log, Ordinal, SearchSpace, Study
from neocarbs_jax.adapters.spaces import add_trials, from_configspace, from_optuna, from_wandb
from neocarbs_jax.adapters.spaces.wandb_sweep import load_yaml
from neocarbs_jax.command_line.begin import New
from neocarbs_jax.space import from_toml, to_toml

SWEEP = """
method: bayes
metric: {name: loss, goal: minimize}
parameters:
  lr: {distribution: log_uniform_values, min: 1e-5, max: 0.1}
  old_lr: {distribution: log_uniform, min: -9.2, max: -2.3}
  layers: {min: 1, max: 4}
  dropout: {min: 0.0, max: 0.5}
  batch: {values: [32, 64, 128]}
  opt: {values: [adam, sgd], probabilities: [0.7, 0.3]}
  step: {distribution: q_uniform, q: 0.25, min: 0, max: 1}
  units: {distribution: q_log_uniform_values, q: 1, min: 16, max: 512}
  noise: {distribution: normal, mu: 1.0, sigma: 0.1}
  epochs: {value: 10}
"""
EXPECTED = SearchSpace(
    lr=Log(1e-5, 0.1),
    old_lr=Log(math.exp(-9.2), math.exp(-2.3)),
    layers=Integer(1, 4),
    dropout=Linear(0.0, 0.5),
    batch=Ordinal((32, 64, 128)),
    opt=Choice(("adam", "sgd")),
    step=Linear(0.0, 1.0, step=0.25),
    units=Integer(16, 512, log=True),
    noise=Linear(1.0 - 3 * 0.1, 1.0 + 3 * 0.1, center=1.0, width=1 / 6),
    epochs=10,
)


def test_a_wandb_sweep_is_read_with_its_metric_and_goal(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    found = from_wandb(tmp_path / "sweep.yaml")
    assert found.space == EXPECTED
    assert (found.metric, found.direction) == ("loss", "minimize")
    assert len(found.notes) == 2
    assert all(note.endswith(".") for note in found.notes)


def test_what_the_engine_of_wandb_draws_lies_in_our_space():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sweeps = pytest.importorskip("sweeps")
        sweep = load_yaml(SWEEP) | {"method": "random"}
        del sweep["parameters"]["old_lr"]  # its checker advises against that distribution
        assert sweeps.schema_violations_from_proposed_config(sweep) == []
        drawn = [sweeps.next_run(sweeps.SweepConfig(sweep), []).config for _ in range(20)]
    space = from_wandb(sweep).space
    for config in drawn:
        values = {name: entry["value"] for name, entry in config.items() if name != "noise"}
        space.validate({**values, "noise": 1.0})


def test_nested_parameters_become_names_with_slashes():
    found = from_wandb({"parameters": {"optimizer": {"parameters": {"lr": {"min": 0.0, "max": 1.0}}}}})
    assert found.space == SearchSpace(optimizer={"lr": Linear(0.0, 1.0)})
    assert found.direction == "maximize"


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"method": "grid"}, "`sweep` must be a W&B sweep with parameters"),
        ({"parameters": {"x": {"distribution": "cauchy"}}}, "`distribution` of `x` must be one of W&B's; got 'cauchy'"),
        ({"parameters": {"x": {"min": 0}}}, "`x` must have a 'max'"),
        ({"parameters": {"x": 3}}, "`x` must be a table of a W&B sweep; got 3"),
    ],
)
def test_a_sweep_that_cannot_be_understood_is_refused(sweep, message):
    with pytest.raises(ValueError, match=message):
        from_wandb(sweep)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("optuna")
    study = optuna.create_study(
        storage=f"sqlite:///{folder}/theirs.db",
        study_name="theirs",
        directions=["minimize", "minimize"],
        sampler=optuna.samplers.RandomSampler(0),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(["loss", "seconds"])

    def objective(trial):
        opt = trial.suggest_categorical("opt", ["adam", "sgd"])
        lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
        batch = trial.suggest_categorical("batch", [32, 64, 128])
        momentum = trial.suggest_float("momentum", 0, 1) if opt == "sgd" else 0.0
        if lr > 0.005:
            trial.suggest_int("odd", 1, 3)
        return lr + momentum, float(batch)

    study.optimize(objective, n_trials=25)
    return folder / "theirs.db", study


def test_an_optuna_study_becomes_a_space_with_conditions_and_its_trials_ours(theirs, tmp_path):
    _, study = theirs
    found = from_optuna(study, score="loss", cost="seconds")
    expected = {"opt": Choice(("adam", "sgd")), "lr": Log(1e-5, 1e-1), "batch": Ordinal((32, 64, 128))}
    momentum = Linear(0.0, 1.0, when={"opt": ["sgd"]})
    assert dict(found.space.axes) == {**expected, "momentum": momentum, "odd": Integer(1, 3)}
    assert (found.metric, found.direction) == ("loss", "minimize")
    assert len(found.notes) == 1
    assert found.notes[0].startswith("`odd` is missing in")
    space = SearchSpace(**expected, momentum=momentum)
    ours = Study.create(space, tmp_path / "ours.db", direction="minimize", strategy="random", compilation_cache=False)
    assert add_trials(ours, study, score="loss", cost="seconds") == 25
    kept = [{name: value for name, value in row.params.items() if name != "odd"} for row in study.trials]
    assert [t.values for t in ours.trials] == kept
    assert [t.score for t in ours.trials] == [row.values[0] for row in study.trials]
    assert {t.attrs["optuna_trial"] for t in ours.front} == {row.number for row in study.best_trials}


def test_distributions_become_axes():
    distributions = {
        "a": optuna.distributions.CategoricalDistribution((3, 1)),
        "b": optuna.distributions.IntDistribution(1, 9, step=2),
    }
    assert from_optuna(distributions).space == SearchSpace(a=Choice((3, 1)), b=Integer(1, 9, step=2))


def configspace():
    cs = pytest.importorskip("ConfigSpace")
    space = cs.ConfigurationSpace(seed=3)
    opt = cs.CategoricalHyperparameter("opt", ["adam", "sgd", "lion"], default_value="sgd")
    layers = cs.UniformIntegerHyperparameter("layers", 1, 4)
    lr = cs.UniformFloatHyperparameter("svm:lr", 1e-5, 1e-1, log=True)
    momentum = cs.UniformFloatHyperparameter("momentum", 0.0, 0.99)
    width = cs.OrdinalHyperparameter("width", [16, 32, 64], default_value=32)
    limit = cs.UniformFloatHyperparameter("limit", 0.0, 1.0)
    units = cs.UniformIntegerHyperparameter("units", 1, 9)
    space.add(opt, layers, lr, momentum, width, limit, units, cs.Constant("seed", 7))
    space.add(cs.EqualsCondition(momentum, opt, "sgd"))
    space.add(cs.AndConjunction(cs.InCondition(width, opt, ["adam", "sgd"]), cs.GreaterThanCondition(width, layers, 1)))
    space.add(cs.GreaterThanCondition(units, limit, 0.5))
    space.add(cs.ForbiddenAndConjunction(cs.ForbiddenEqualsClause(opt, "lion"), cs.ForbiddenInClause(layers, [1, 2])))
    space.add(cs.ForbiddenGreaterThanRelation(momentum, limit))
    space.add(cs.ForbiddenEqualsClause(width, 16))
    return space


def test_a_configspace_keeps_conditions_and_forbidden_clauses():
    theirs = configspace()
    found = from_configspace(theirs)
    ours = found.space
    assert [note for note in found.notes if "`units` is always searched" in note] == list(found.notes)
    assert len(found.notes) == 1
    assert ours.axis_of["momentum"] == Linear(0.0, 0.99, center=0.495, when={"opt": "sgd"})
    assert dict(ours.fixed) == {"seed": 7}
    for configuration in theirs.sample_configuration(60):
        values = {
            name: value.item() if hasattr(value, "item") else value for name, value in dict(configuration).items()
        }
        values.setdefault("units", 5)  # their condition on a float is the one that has no counterpart
        ours.validate(values)
        assert ours.broken(values) == []
        assert ours.missing(values) == []
        assert set(ours.active(values)) == set(values)


def test_what_our_space_allows_is_legal_for_configspace():
    theirs = configspace()
    cs = pytest.importorskip("ConfigSpace")
    ours = from_configspace(theirs).space
    rng = np.random.default_rng(0)
    allowed = 0
    for _ in range(150):
        values = ours.from_unit(rng.random(ours.size))
        legal = not ours.broken(values)
        if values["limit"] <= 0.5:
            del values["units"]
        try:
            cs.Configuration(theirs, values=values)
        except (cs.exceptions.ForbiddenValueError, ValueError):
            assert not legal, values
        else:
            assert legal, values
            allowed += 1
    assert 0 < allowed < 150


def test_toml_keeps_a_whole_space(tmp_path):
    space = SearchSpace(
        opt=Choice(("adam", 'a "b"', True)),
        momentum=Linear(0.5, 0.99, when={"opt": "adam"}),
        train={"shape": Choice(((1, 2), (3,))), "seed": 7, "name": "x"},
        constraints=['momentum < .9 or values["opt"] != "adam"'],
    )
    (tmp_path / "space.toml").write_text(to_toml(space))
    assert from_toml(tmp_path / "space.toml") == space
    with pytest.raises(ValueError, match=r"Options of `x` must be numbers.*got None"):
        to_toml(SearchSpace(x=Choice((None, 1))))


def test_new_reads_the_files_of_other_tuners(theirs, tmp_path):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    New(tmp_path / "a.toml", source=str(tmp_path / "sweep.yaml")).run(Console())
    assert from_toml(tmp_path / "a.toml") == EXPECTED
    assert "--score loss --direction minimize" in (tmp_path / "a.toml").read_text()
    (tmp_path / "sweep.json").write_text(json.dumps({"parameters": {"x": {"min": 0, "max": 3}}}))
    New(tmp_path / "b.toml", source=str(tmp_path / "sweep.json")).run(Console())
    assert from_toml(tmp_path / "b.toml") == SearchSpace(x=Integer(0, 3))
    pytest.importorskip("ConfigSpace")
    configspace().to_json(tmp_path / "cs.json")
    New(tmp_path / "c.toml", source=str(tmp_path / "cs.json")).run(Console())
    assert from_toml(tmp_path / "c.toml") == from_configspace(configspace()).space
    configspace().to_yaml(tmp_path / "cs.yaml")
    New(tmp_path / "d.toml", source=str(tmp_path / "cs.yaml")).run(Console())
    assert (tmp_path / "d.toml").read_text().splitlines()[1:] == (tmp_path / "c.toml").read_text().splitlines()[1:]
    file, study = theirs
    study.set_user_attr("said", "nothing")
    with pytest.raises(ValueError, match="`from` must name one of the studies"):
        New(tmp_path / "f.toml", source=f"{file}#other").run(Console())
    New(tmp_path / "e.toml").run(Console())
    assert from_toml(tmp_path / "e.toml").names == ("lr", "steps")


@pytest.mark.parametrize(
    ("source", "message"),
    [("none.yaml", "that can be read"), ("other.json", "which is neither"), ("none.db", "`storage`")],
)
def test_new_says_what_it_cannot_read(source, message, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match=message):
        New(tmp_path / "a.toml", source=str(tmp_path / source)).run(Console())
    assert not (tmp_path / "a.toml").exists()
