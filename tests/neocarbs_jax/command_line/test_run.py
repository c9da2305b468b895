"""`neocarbs new`, `run`, `best`, `show`, `export`, `compare`, `rm` on a program that is really run."""

import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from pathlib import Path

import pytest

from neocarbs_jax import Study, cli
from neocarbs_jax.report.formats import formatted

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
    import json, math, sys
    lr, steps = float(sys.argv[1]), float(sys.argv[2])
    print("epoch 1")
    if lr > 0.05:
        raise RuntimeError("diverged")
    print(json.dumps({"score": 2 - 1 / math.log(steps) - (math.log10(lr) + 3) ** 2 / 10, "cost": steps / 1000}))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a study of six trials of a program."""
    folder = tmp_path_factory.mktemp("door")
    (folder / "train.py").write_text(textwrap.dedent(PROGRAM))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        cli.main(["new"])
        command = f"{sys.executable} train.py {{lr}} {{steps}}"
        cli.main(["run", "--space", "space.toml", "--command", command, "--trials", "6"])
    return folder


@pytest.fixture
def run(place, monkeypatch, capsys):
    """Run a command there and return what it prints."""
    monkeypatch.chdir(place)

    def run(*arguments):
        capsys.readouterr()
        cli.main(arguments)
        return capsys.readouterr().out

    return run


def test_a_run_leaves_a_study_a_report_and_what_each_trial_printed(place):
    trials = Study.load(f"sqlite:///{place}/runs/space.db", name="space").trials
    assert len(trials) == 6
    assert {t.status for t in trials} <= {"completed", "failed"}
    assert (place / "runs" / "space" / "report.html").exists()
    assert "epoch 1" in (place / "runs" / "space" / "trials" / "00000" / "output.txt").read_text()
    for trial in trials:
        assert trial.status == "completed" or trial.attrs["reason"] == "it ended with code 1: RuntimeError: diverged"


def test_the_template_reads_as_the_space_it_says(place):
    tree = tomllib.loads((place / "space.toml").read_text())
    assert list(tree) == ["lr", "steps"]


def test_best_prints_settings_that_can_be_used(run):
    values = json.loads(run("best", "runs/space.db", "--format", "json"))
    assert set(values) == {"lr", "steps"}
    assert tomllib.loads(run("best", "runs/space.db", "--format", "toml")) == values
    assert eval(run("best", "runs/space.db", "--format", "py")) == values
    words = run("best", "runs/space.db", "--format", "cli").split()
    assert words == ["--lr", str(values["lr"]), "--steps", str(values["steps"])]
    cheap = json.loads(run("best", "runs/space.db", "--format", "json", "--max-cost", "30"))
    assert cheap["steps"] < 40_000
    assert "expected score" in run("best", "runs/space.db")


def test_settings_of_any_name_and_text_can_be_pasted():
    values = {"network.width": 64, "train/lr": 0.1, "opt": "adam w", "deep": True, "sizes": [1, 2]}
    assert tomllib.loads(formatted(values, "toml")) == values
    words = shlex.split(formatted(values, "cli"))
    assert words[4:] == ["--opt", "adam w", "--deep", "true", "--sizes", "[1, 2]"]
    with pytest.raises(ValueError, match="`format` must not be toml, which has no null, where opt is None"):
        formatted({"opt": None}, "toml")


def test_machines_read_json(run):
    [row] = json.loads(run("studies", "runs/space.db", "--json"))
    assert row["study"] == "space"
    rows = json.loads(run("show", "runs/space.db", "--json"))
    assert [r["number"] for r in rows] == list(range(6))
    assert json.loads(run("show", "runs/space.db", "--trial", "2", "--json")) == rows[2]
    front = json.loads(run("front", "runs/space.db", "--json"))
    assert set(front) == {"expected", "measured"}
    assert front["expected"][0]["low"] <= front["expected"][0]["score"] <= front["expected"][0]["high"]


def test_people_read_tables(run):
    out = run("show", "runs/space.db")
    assert out.split()[:2] == ["trial", "status"] or "trial" in out
    assert "completed" in out
    assert "values" in run("show", "runs/space.db", "--trial", "0")
    assert "is ahead at 0" in run("compare", "runs/space.db", "runs/space.db#space")


def test_export_writes_what_the_ending_says(run, place):
    run("export", "runs/space.db", "out/all.json")
    assert len(json.loads((place / "out" / "all.json").read_text())) == 6
    run("export", "runs/space.db", "out/all.csv")
    assert len((place / "out" / "all.csv").read_text().splitlines()) == 7


def test_a_parquet_file_has_a_column_for_each_axis(run, place, monkeypatch, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    run("export", "runs/space.db", "all.parquet")
    table = parquet.read_table(place / "all.parquet").to_pylist()
    trials = Study.load(f"sqlite:///{place}/runs/space.db", name="space").trials
    assert [row["number"] for row in table] == list(range(6))
    assert [(row["score"], row["lr"], row["steps"]) for row in table] == [
        (t.score, t.values["lr"], t.values["steps"]) for t in trials
    ]
    assert [json.loads(row["attrs"])["folder"] for row in table] == [t.attrs["folder"] for t in trials]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SystemExit):
        cli.main(["export", "runs/space.db", "other.parquet"])
    assert "`file` must not end in .parquet where pyarrow is missing: pip install pyarrow." in capsys.readouterr().err


@pytest.mark.parametrize(("file", "first"), [("fronts.html", b"<!doctype html>"), ("out/fronts.png", b"\x89PNG")])
def test_compare_draws_two_fronts_in_one_picture(run, place, file, first):
    assert run("compare", "runs/space.db", "runs/space.db#space", "--out", file).endswith(f"Wrote {file}.\n")
    content = (place / file).read_bytes()
    assert content.startswith(first)
    assert file.endswith("png") or content.count(b"trials of space") == 2


def test_trackers_are_told_of_each_trial(run, place):
    command = f"{sys.executable} train.py {{lr}} {{steps}}"
    options = ["--strategy", "random", "--name", "tracked", "--track", "csv:told/all.csv", "tensorboard"]
    run("run", "--space", "space.toml", "--command", command, "--trials", "2", *options)
    assert len((place / "told" / "all.csv").read_text().splitlines()) == 3
    assert len(list((place / "runs" / "tracked" / "tensorboard").iterdir())) == 2
    run("worker", "runs/tracked.db", "--trials", "3", "--track", "csv:told/worker.csv")
    assert len((place / "told" / "worker.csv").read_text().splitlines()) == 4


def test_confirm_runs_the_program_that_the_study_keeps(run, place):
    rows = json.loads(run("confirm", "runs/space.db", "--seeds", "2", "--points", "1", "--json"))
    assert len(rows[0]["scores"]) == 2
    assert list((place / "runs" / "space" / "trials").glob("*-fresh-1"))
    assert len(json.loads(run("show", "runs/space.db", "--json"))) == 6


def test_rm_asks_and_deletes(run, place):
    cli.main(
        ["run", "--space", "space.toml", "--command", "echo '{{\"score\": {lr}}}'", "--trials", "1", "--name", "b"]
    )
    with pytest.raises(SystemExit):
        cli.main(["rm", "runs/b.db", "b"])  # no terminal
    assert "Deleted study 'b' with 1 trials." in run("rm", "runs/b.db", "b", "--yes")
    assert json.loads(run("studies", "runs/b.db", "--json")) == []


SPACE = ["run", "--space", "space.toml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new"], "`file` must not exist yet; got 'space.toml'."),
        ([*SPACE, "--trials", "1"], "`command` or `objective` must be given; got neither."),
        ([*SPACE, "--command", "x"], "`trials`, `max_cost` or `until_rating` must be given; got none."),
        ([*SPACE, "--command", "x {y}", "--trials", "1"], "`command` may have placeholders for lr, steps, trial"),
        ([*SPACE, "--command", "x", "--objective", "math:sqrt", "--trials", "1"], "`command` must be left out where"),
        ([*SPACE, "--command", "x", "--trials", "1", "--slots", "0"], "`slots` must be at least 1; got 0."),
        ([*SPACE, "--command", "x", "--trials", "1", "--strategy", "y"], "`strategy` must be one of"),
        (["run", "--space", "no.toml", "--command", "x", "--trials", "1"], "No such file or directory: no.toml"),
        (["best", "runs/space.db", "--max-cost", "1e-9"], "`max_cost` must be at least"),
        (["show", "runs/space.db", "--trial", "6"], "`trial` must be from 0 to 5; got 6."),
        (["export", "runs/space.db", "a.txt"], "`file` must end in .csv, .json, .parquet; got 'a.txt'."),
        (
            ["compare", "runs/space.db", "runs/space.db", "--out", "a.svg"],
            "`out` must end in .html or .png; got 'a.svg'",
        ),
        ([*SPACE, "--command", "x", "--trials", "1", "--track", "excel"], "`track` must be some of wandb[:PROJECT], "),
        (["rm", "runs/space.db", "x", "--yes"], "`name` must be a study of the storage (space); got 'x'."),
    ],
)
def test_bad_input_is_one_line_and_exit_2(place, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(place)
    with pytest.raises(SystemExit) as refusal:
        cli.main(arguments)
    assert refusal.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_broken_program_ends_the_run_with_its_last_words_and_exit_1(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    command = f"{sys.executable} -c 'raise SystemExit(2)' {{lr}}"
    with pytest.raises(SystemExit) as end:
        cli.main([*SPACE, "--command", command, "--trials", "3", "--name", "broken"])
    assert end.value.code == 1
    assert "The program ended with code 2." in capsys.readouterr().err
    assert [t.status for t in Study.load(f"sqlite:///{place}/runs/broken.db", name="broken").trials] == ["interrupted"]


@pytest.mark.slow
@pytest.mark.parametrize("slots", ["1", "2"])
def test_sigterm_takes_the_trials_back_and_leaves_no_process(place, slots):
    program = place / f"sleeper{slots}.py"
    program.write_text("import time\ntime.sleep(120)\n")
    arguments = [*SPACE, "--command", f"{sys.executable} {program} {{lr}}", "--trials", "4", "--slots", slots]
    words = [sys.executable, "-m", "neocarbs_jax.cli", *arguments, "--name", f"stop{slots}"]
    process = subprocess.Popen(words, cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)})
    folders = place / "runs" / f"stop{slots}" / "trials"
    deadline = time.monotonic() + 120
    while len(list(folders.glob("*/output.txt"))) < int(slots):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    listing = subprocess.run(["ps", "-eo", "stat,args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in listing.splitlines() if program.name in line and line[0] != "Z"]
    trials = Study.load(f"sqlite:///{place}/runs/stop{slots}.db", name=f"stop{slots}").trials
    assert {t.status for t in trials} == {"interrupted"}
