"""A sweep as a file: read, overridden, and written so that it runs again."""

import pytest

from experiments import sweep_file, sweep_options, sweep_setup
from neocarbs_jax.report.progress import Progress

TEXT = """
env = "snake"
trials = 7
max-cost = 60.0
seeds = 2

[axes]
learning_rate = "1e-4,1e-2"
gamma = true
optimizer = ["adam", "muon"]
network.width = [16, 32]

[set]
num_envs = 16
segment_length = 8
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(TEXT)
    return path


def test_a_file_holds_what_the_command_line_does(file):
    args = sweep_options.parse(["--file", str(file)])
    assert (args.env, args.trials, args.max_cost, args.seeds) == (("snake",), 7, 60.0, 2)
    assert sweep_setup.space_of(args).names == ("total_steps", "learning_rate", "gamma", "optimizer", "network.width")
    assert sweep_setup.fixed_settings(args)["num_envs"] == 16


def test_the_command_line_counts(file):
    args = sweep_options.parse(["--file", str(file), "--trials", "9", "--set", "num_envs=32", "--axes", "gamma=.9,.99"])
    assert args.trials == 9
    assert sweep_setup.fixed_settings(args) | {"num_envs": 32, "segment_length": 8} == sweep_setup.fixed_settings(args)
    assert dict(sweep_setup.space_of(args).axes)["gamma"].low == 0.9


def test_what_the_command_line_sets_is_no_axis_of_the_file(file):
    args = sweep_options.parse(["--file", str(file), "--set", "gamma=.9"])
    assert "gamma" not in sweep_setup.space_of(args).names
    assert sweep_setup.fixed_settings(args)["gamma"] == 0.9


def test_what_the_command_line_searches_is_not_set_by_the_file(file):
    args = sweep_options.parse(["--file", str(file), "--axes", "num_envs=16,32,64"])
    assert "num_envs" in sweep_setup.space_of(args).names
    assert "num_envs" not in sweep_setup.fixed_settings(args)


def test_a_command_line_that_sets_all_axes_of_the_file_is_refused(tmp_path, capsys):
    path = tmp_path / "one.toml"
    path.write_text('env = "snake"\n[axes]\ngamma = true\n')
    with pytest.raises(SystemExit):
        sweep_options.parse(["--file", str(path), "--set", "gamma=.9"])
    assert "`set` must leave an axis of the file to search; got all of them." in capsys.readouterr().err


def test_axes_of_the_command_line_have_their_own_bounds_and_stable_is_three_settings(tmp_path):
    path = tmp_path / "bounds.toml"
    path.write_text('env = "snake"\n[axes]\ngamma = true\ndecay = true\n[bounds]\ngamma = [0.91, 0.92]\n')
    args = sweep_options.parse(["--file", str(path), "--axes", "gamma=.9,.99", "--set", "anneal=stable"])
    assert dict(sweep_setup.space_of(args).axes)["gamma"].low == 0.9
    assert "decay" not in sweep_setup.space_of(args).names


def test_what_the_command_line_both_sets_and_searches_is_refused(file):
    args = sweep_options.parse(["--file", str(file), "--set", "gamma=.9", "--axes", "gamma"])
    with pytest.raises(ValueError, match=r"`axes` must name settings that `set` does not fix; got gamma in both\."):
        sweep_setup.space_of(args)


def test_a_written_sweep_reads_back_as_itself(file, tmp_path):
    args = sweep_options.parse(["--file", str(file)])
    training, space = sweep_setup.prepare(args, Progress(1)), sweep_setup.space_of(args)
    sweep_setup.write_file(tmp_path / "again.toml", args, space, training)
    again = sweep_options.parse(["--file", str(tmp_path / "again.toml")])
    assert sweep_setup.space_of(again) == space
    assert sweep_setup.prepare(again, Progress(1)).config == training.config
    assert (again.env, again.trials, again.max_cost, again.seeds) == (args.env, 7, 60.0, 2)


def test_a_written_sweep_keeps_what_overrides_the_schedule_of_curves(file, tmp_path):
    words = ["--file", str(file), "--curves", "--seeds", "1", "--set", "warmup=0"]
    args = sweep_options.parse(words)
    training, space = sweep_setup.prepare(args, Progress(1)), sweep_setup.space_of(args)
    sweep_setup.write_file(tmp_path / "again.toml", args, space, training)
    again = sweep_options.parse(["--file", str(tmp_path / "again.toml")])
    assert again.curves
    assert float(sweep_setup.prepare(again, Progress(1)).params.warmup) == 0


@pytest.mark.parametrize(
    ("words", "values", "bands"),
    [
        (["--axes", "horizon=16,32", "learning_rate", "--set", "bands=8"], {"horizon": 32}, 8),
        (["--axes", "horizon=16,32", "learning_rate"], {"horizon": 32}, 6),
        (["--axes", "estimator=p3o,gae", "learning_rate", "--preset", "ppo"], {"estimator": "p3o"}, 8),
        (["--set", "horizon=32"], {"horizon": 128}, 8),
    ],
)
def test_a_written_sweep_keeps_what_was_given_and_lets_the_rest_follow(tmp_path, words, values, bands):
    args = sweep_options.parse(words)
    training, space = sweep_setup.prepare(args, Progress(1)), sweep_setup.space_of(args)
    sweep_setup.write_file(tmp_path / "again.toml", args, space, training)
    again = sweep_setup.prepare(sweep_options.parse(["--file", str(tmp_path / "again.toml")]), Progress(1))
    assert [made.split(values)[0].bands for made in (training, again)] == [bands, bands]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trials = ", "`file` must be a TOML file that can be read"),
        ("trails = 7", "`file` must hold options of `p3o sweep`; got trails; did you mean trials?"),
        ("axes = 3", "`file` must give axes a table or a list of texts; got 3"),
        ("file = 'other.toml'", "`file` must hold options"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path, capsys, text, message):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(SystemExit) as refusal:
        sweep_options.parse(["--file", str(path)])
    assert refusal.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`file` must be a TOML file that can be read"):
        sweep_file.read(tmp_path / "none.toml", [])
