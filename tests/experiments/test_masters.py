"""Masters: the trained agents that come with the package, the files that they are, and the settings that made them."""

import jax
import numpy as np
import pytest

from envs.registry import ENVIRONMENTS
from experiments import evaluate, folder, gallery, saved, train, watch
from experiments.agents import MASTERS, masters, resolve
from experiments.bench import masters as bench
from experiments.environments import make_env, split
from experiments.watching.players import master_player, simple_player

SMALL = {"num_envs": 8, "segment_length": 8, "horizon": 4, "num_minibatches": 1, "network.width": 8}
LARGEST_BYTES = 1e6

FLOORS = {
    "agar": (4, "score", 77.5),
    "breakout": (8, "score", 700.0),
    "chambers": (32, "score", 0.95),
    "connect4": (128, "score", 0.97),
    "drive": (2, "goal", 0.5),
    "foraging": (16, "score", 9.5),
    "maze": (32, "score", 0.75),
    "pong": (2, "score", 19.0),
    "snake": (1, "score", 40.0),
}
"""Environments of a short evaluation, and what it has to show: less than what was reached, since episodes are few."""


@pytest.fixture(autouse=True)
def nothing_on_disk(monkeypatch):
    for module in (evaluate, gallery, train, watch):
        monkeypatch.setattr(module, "keep_on_disk", lambda: None)


@pytest.fixture(scope="module")
def run():
    return folder.new({"env": "pong", "seed": 3, "key": ""} | SMALL)


def test_a_packed_agent_acts_as_the_whole_one(run, tmp_path):
    saved.pack(tmp_path / "agent.npz", run)
    packed = saved.load(tmp_path / "agent.npz")
    assert packed.settings == run.settings
    jax.tree.map(np.testing.assert_array_equal, packed.state.trainable, run.state.trainable)
    jax.tree.map(np.testing.assert_array_equal, packed.state.spread, run.state.spread)


def test_a_packed_agent_of_other_shapes_is_refused(run, tmp_path):
    other = run._replace(config=folder.replace(run.config, run.params, {"network.width": 4})[0])
    saved.pack(tmp_path / "agent.npz", other)
    with pytest.raises(ValueError, match=r"`checkpoint` must be a file that `pack` wrote; got .*agent\.npz.*shapes"):
        saved.load(tmp_path / "agent.npz")
    saved.pack(tmp_path / "agent.npz", run)
    whole = (tmp_path / "agent.npz").read_bytes()
    with np.load(tmp_path / "agent.npz") as arrays:
        np.savez(tmp_path / "untrained.npz", settings=arrays["settings"])
    (tmp_path / "list.npz").write_bytes(b"")
    np.savez(tmp_path / "list.npz", settings=np.array("[]"))
    for name, content in {"none": b"nothing", "empty": b"", "cut": whole[: len(whole) // 2]}.items():
        (tmp_path / f"{name}.npz").write_bytes(content)
    for name in ("none", "empty", "cut", "list", "untrained"):
        with pytest.raises(ValueError, match=f"`checkpoint` must be a file that `pack` wrote; got .*{name}"):
            saved.load(tmp_path / f"{name}.npz")


def test_masters_are_those_that_the_pages_name():
    assert set(masters()) == set(ENVIRONMENTS) - {"boids"}


def test_a_master_goes_by_the_name_of_its_environment():
    assert resolve("master:pong", "policy") == MASTERS / "pong.npz"
    with pytest.raises(ValueError, match=r"`policy` must name a master, .*master:pong.*got 'master:no'"):
        resolve("master:no", "policy")


@pytest.mark.parametrize("name", masters())
def test_masters_are_small_and_of_their_environment(name):
    assert masters()[name].stat().st_size < LARGEST_BYTES
    with np.load(masters()[name]) as arrays:
        assert f'"env": "{name}' in str(arrays["settings"])
    assert name in ENVIRONMENTS


@pytest.mark.slow
@pytest.mark.parametrize("name", masters())
def test_every_master_plays_in_its_environment(name):
    player = master_player(name, {})
    played = watch.play(player, 2, 0)
    assert np.isfinite(played.reward).all()
    assert split(player.name)[0] == name


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOORS)
def test_masters_reach_what_they_should(name):
    copies, measure, floor = FLOORS[name]
    agent = saved.load(masters()[name])
    reached = bench.judge(agent, agent.env_name, copies)(agent.state, 5)
    assert reached[measure] >= floor


def test_watch_shows_the_master_unless_another_policy_or_arguments_are_given(monkeypatch):
    chosen = []
    monkeypatch.setattr(watch, "watch", lambda args, console: chosen.append(args.policy))
    for words in ([], ["--policy", "scripted"], ["--arguments", "frameskip=4"]):
        watch.main(["pong", *words, "--steps", "2"])
    assert chosen == ["master", "scripted", "random"]


def test_the_gallery_shows_masters_or_scripts(monkeypatch, tmp_path):
    monkeypatch.setattr(gallery, "card", lambda args, player, who, file: gallery.Card(player.name, who, file))
    for scripted, text in ((False, "by its master"), (True, "by its script")):
        args = gallery.Gallery(out=tmp_path, envs=("pong",), scripted=scripted)
        assert text in gallery.write(args, gallery.Console(quiet=True)).read_text()


def test_a_master_plays_with_other_arguments_only_where_it_sees_the_same():
    with pytest.raises(ValueError, match="`env` must have the observations and actions of the training"):
        master_player("pong", {"continuous": True})
    assert master_player("pong", {"frameskip": 4}).name == "pong?frameskip=4"
    few = master_player("snake", {"width": 72, "height": 48, "num_snakes": 12, "num_food": 60})
    assert split(few.name)[1] == {"layers": True, "width": 72, "height": 48, "num_snakes": 12, "num_food": 60}
    assert simple_player("pong", {}, True).beliefs is None


@pytest.mark.parametrize("name", [name for name in bench.TASKS if bench.preset(name).exists()])
def test_presets_hold_the_settings_of_masters(name):
    settings = bench.settings_of(bench.preset(name))
    assert settings["env"].partition("?")[0] == name.partition("-")[0]
    folder.replace(folder.Config(), folder.Params(), folder.without_origin(settings))


def test_settings_of_a_file_are_those_of_set_and_best(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text('env = "breakout"\n[set]\nenv.frameskip = 2\ntau = 0.1\nclip = 0.3\n[best]\ntau = 0.4\n')
    assert train.settings_of(file) == {"env": "breakout?frameskip=2", "env.frameskip": 2, "tau": 0.4, "clip": 0.3}
    args = train.Train(file=file, set=(("clip=.1",),))
    request = train.request_of(args, None)
    assert request.settings["env"] == "breakout?frameskip=2"
    assert (request.settings["tau"], request.settings["clip"]) == (0.4, 0.1)
    assert train.default_folder(args, None) == "train-sweep"
    file.write_text('env = ["pong"]\n')  # as sweeps write it
    assert train.settings_of(file) == {"env": "pong"}


def test_a_file_is_for_one_environment_and_stands_alone(tmp_path, capsys):
    file = tmp_path / "sweep.toml"
    file.write_text('env = ["pong", "snake"]\n')
    misspelt = tmp_path / "misspelt.toml"
    misspelt.write_text('env = "pong"\n[bset]\ntau = 0.1\n')
    for words, said in (
        (["--file", str(file)], "`file` must name one environment"),
        (["--file", str(file), "--from", "runs/a"], "`file` must be given without `from`"),
        (["--file", str(tmp_path / "none.toml")], "`file` must be a TOML file that can be read"),
        (["--file", str(misspelt)], "`file` must hold options of `p3o sweep`; got bset; did you mean set"),
        (["--from", "master:pong"], "`from` must be a folder or a trial, which hold the whole state"),
    ):
        with pytest.raises(SystemExit):
            train.main(words)
        assert said in capsys.readouterr().err


def test_a_goal_is_met_within_all_its_bounds():
    goal = {"goal": 0.95, "collision": -0.02}
    assert bench.meets(goal, {"goal": 0.95, "collision": 0.02})
    assert not bench.meets(goal, {"goal": 0.97, "collision": 0.03})
    assert not bench.meets(goal, {"goal": 0.94, "collision": 0.0})


def test_the_page_says_what_was_reached_and_when_the_goal_was_met():
    looks = [{"steps": 1e6, "seconds": 9.0, "cpu": 8.0, "score": x} for x in (10.0, 20.6, 20.8)]
    rows = [{"name": "pong", "seed": seed, "settings": {}, "looks": looks, "beside": {}} for seed in (0, 1)]
    rows[1]["looks"] = [looks[0]]
    text = bench.page(rows, bench.harness.stamp())
    assert "| pong | score at least 20.5 | score 15.4 | 10 to 20.8 | 2 | 1 | 1 | 8 | 8 |" in text
    assert "| pong | 1 | score 10 |  |" in text


@pytest.mark.slow
def test_a_training_is_a_row_and_its_agent_is_shipped(monkeypatch, tmp_path):
    monkeypatch.setitem(bench.TASKS, "connect4", bench.Task({"score": 0.1}, copies=2, agent="connect4"))
    settings = {"env": "connect4", "seed": 7, "key": ""} | SMALL | {"total_steps": 256.0}
    args = bench.Settings(looks=2, runs=tmp_path / "runs")
    row = bench.train("connect4", settings, args, bench.Console(quiet=True))
    assert [look["steps"] for look in row["looks"]] == [128, 256]
    assert bench.present("connect4", [row]) == []  # the preset has other settings
    monkeypatch.setattr(bench, "every_setting", lambda name, seed: settings)
    monkeypatch.setattr(bench, "MASTERS", tmp_path)
    bench.ship("connect4", [row], args.runs, bench.Console(quiet=True))
    assert saved.load(tmp_path / "connect4.npz").seed == 7


def test_every_task_is_of_an_environment_that_exists():
    assert {split(task.env or name)[0].partition("-")[0] for name, task in bench.TASKS.items()} == set(ENVIRONMENTS)
    assert {split(task.agent)[0] for task in bench.TASKS.values() if task.agent} == set(ENVIRONMENTS)
    assert make_env("maze?min_size=15&size=15").size == 15
