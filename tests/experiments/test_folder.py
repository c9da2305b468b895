"""The folder of `p3o train`: what is in it is gone on with, changed or replaced only as the user says."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest
from rich.console import Console

from experiments import folder as folders
from experiments import saved
from experiments.folder import Request, begin
from experiments.repeat import wanted

SMALL = ("num_envs=4", "segment_length=4", "horizon=4", "num_minibatches=1", "total_steps=64", "network.width=4")


def request(*entries, env=None, seed=None, **flags):
    return Request(*wanted(env, seed, [(*SMALL, *entries)], {}), **flags)


def only(*entries, env=None, seed=None, **flags):
    """A request that gives nothing but these entries."""
    return Request(*wanted(env, seed, [entries], {}), **flags)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a training after three of its four updates."""
    folder = tmp_path_factory.mktemp("made") / "agent"
    run = folders.new(request("learning_rate=1e-2").settings)
    state = dataclasses.replace(run.state, num_updates=run.state.num_updates + 3)
    saved.save(folder, run._replace(state=state))
    return folder


@pytest.fixture
def console():
    return Console(record=True, width=200)


def with_state(made, tmp_path, **changes):
    """A copy of the folder whose state differs."""
    run = saved.load(made)
    folder = tmp_path / "agent"
    saved.save(folder, run._replace(state=dataclasses.replace(run.state, **changes)))
    return folder


def test_the_same_settings_go_on(made, console):
    run = begin(request("learning_rate=1e-2"), made, console)
    assert int(run.state.num_updates) == 3
    assert "going on from step 48" in console.export_text()


def test_other_settings_are_refused_with_both_values_and_three_ways_out(made, console):
    with pytest.raises(ValueError, match="`out` must be new or hold a training of the same settings") as refusal:
        begin(request("learning_rate=1e-4", "network.depth=3", seed=7), made, console)
    for part in (
        "learning_rate=0.01 there, 0.0001 now",
        "network.depth=2 there, 3 now",
        "seed=0 there, 7 now",
        "at step 48",
    ):
        assert part in str(refusal.value)
    for way in ("--resume", "--override", "--overwrite"):
        assert way in str(refusal.value)


def test_resume_takes_the_stored_settings(made, console):
    run = begin(only(resume=True), made, console)
    assert float(run.params.learning_rate) == pytest.approx(1e-2)
    assert run.config.horizon == 4


def test_resume_refuses_settings_that_differ_from_the_stored_ones(made, console):
    with pytest.raises(ValueError, match=r"`resume` goes on with the stored settings; got tau=0.2 there, 0.3 now"):
        begin(only("tau=.3", resume=True), made, console)


def test_override_changes_what_is_given_and_nothing_else(made, console):
    run = begin(only("learning_rate=1e-4", "total_steps=128", override=True), made, console)
    assert float(run.params.learning_rate) == pytest.approx(1e-4)
    assert (int(run.state.num_updates), run.config.horizon, float(run.params.total_steps)) == (3, 4, 128)
    assert "learning_rate=0.01 there, 0.0001 now" in console.export_text()


def test_another_budget_begins_a_log_of_all_that_is_measured():
    run = folders.new(request("evidence=True").settings)
    longer = folders._alive(run, new_log=True)
    assert jax.tree.structure(longer.state) == jax.tree.structure(run.state)


@pytest.mark.parametrize(("entry", "rule"), [("bands=2", "the shapes"), ("num_envs=8", "the shapes")])
def test_override_refuses_other_shapes(made, console, entry, rule):
    with pytest.raises(ValueError, match=f"`override` must leave {rule} of what is stored as they are; got"):
        begin(only(entry, override=True), made, console)


def test_override_refuses_another_seed_and_environment(made, console):
    with pytest.raises(ValueError, match="`override` must leave env, seed, key as they are; got env=pong there"):
        begin(only(env="foraging", seed=2, override=True), made, console)


def test_overwrite_starts_anew(made, console):
    run = begin(request(seed=7, overwrite=True), made, console)
    assert (int(run.state.num_updates), run.seed) == (0, 7)
    assert made.exists(), "until the new training is saved"


def test_a_finished_folder_says_so(made, tmp_path, console):
    folder = with_state(made, tmp_path, num_updates=jnp.asarray(4, jnp.int32))
    begin(request("learning_rate=1e-2"), folder, console)
    assert "finished at step 64: it is only evaluated" in console.export_text()


def test_a_diverged_folder_says_so_and_can_go_on_with_other_settings(made, tmp_path, console):
    failure = dataclasses.replace(saved.load(made).state.failure, term=jnp.asarray(4, jnp.int32))
    folder = with_state(made, tmp_path, failure=failure)
    with pytest.raises(SystemExit) as ended:
        begin(only(resume=True), folder, console)
    assert ended.value.code == 1
    assert "diverged (value loss not finite" in console.export_text()
    run = begin(only("learning_rate=1e-4", override=True), folder, console)
    assert not run.state.failure.failed


@pytest.mark.parametrize("flag", ["resume", "override"])
def test_going_on_needs_a_folder(tmp_path, console, flag):
    with pytest.raises(ValueError, match=f"`{flag}` needs a folder that `p3o train` wrote"):
        begin(only(**{flag: True}), tmp_path / "none", console)


@pytest.mark.parametrize("flags", [{}, {"overwrite": True}])
def test_a_folder_of_something_else_is_never_touched(tmp_path, console, flags):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match="`out` must be new, or a folder that `p3o train` wrote"):
        begin(request(**flags), tmp_path, console)
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize("place", ["file/agent", "/proc/none/agent"])
def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path, console, place):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="`out` must be a folder that can be written; got"):
        begin(request(), tmp_path / place, console)


def test_the_current_folder_is_refused(tmp_path, console, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    for place in (".", ".."):
        with pytest.raises(ValueError, match="`out` must not be the current folder"):
            begin(request(), folders.Path(place), console)


@pytest.mark.parametrize("broken", ["{", "{}", '{"env": "pong", "speed": 3}', '{"env": "pung"}', "[]"])
def test_a_broken_checkpoint_is_one_error(tmp_path, broken):
    (tmp_path / "settings.json").write_text(broken)
    with pytest.raises(ValueError, match="`checkpoint` must be a folder that `p3o train` wrote"):
        saved.load(tmp_path)


def test_a_folder_of_the_first_format_is_read(made, tmp_path):
    run = saved.load(made)
    folder = tmp_path / "agent"
    saved.save(folder, run)
    config = dataclasses.asdict(run.config)
    numbers = {name: float(value) for name, value in vars(run.params).items()}
    old = {"env": "pong", "config": config, "params": numbers}
    (folder / "settings.json").write_text(json.dumps(old))
    again = saved.load(folder)
    assert (again.config, again.seed) == (run.config, None)
    assert begin(request("learning_rate=1e-2", seed=5), folder, Console()).config == run.config
