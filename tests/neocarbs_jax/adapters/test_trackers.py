"""Trackers, each with its real package, read back as that tool reads it."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest

from neocarbs_jax.adapters.csv_file import import_csv
from neocarbs_jax.adapters.trackers import CSV, TensorBoard, all_of
from neocarbs_jax.adapters.trackers.record import plain_name, record_of
from neocarbs_jax.space import Choice, Integer, Log, SearchSpace
from neocarbs_jax.study import Study

ROOT = Path(__file__).resolve().parents[3]
SPACE = SearchSpace(rate=Log(1e-5, 1e-1), net={"layers": Integer(1, 3)}, kind=Choice(("a", (1, 2), None)), seed=7)


def objective(values):
    if values["net/layers"] == 3:
        raise FloatingPointError("diverged")
    curve = [(10.0, 0.1, 1.0), (20.0, 0.2, 2.0)]
    return values["rate"], float(values["net/layers"]), {"curve": curve, "win %": 0.5, "gpu": "none", "big": True}


def new_study(folder, name="my study"):
    study = Study.create(SPACE, f"sqlite:///{folder}/sweep.db", name=name, strategy="random")
    for layers, kind in ((1, "a"), (3, None), (2, (1, 2))):
        study.enqueue({"net/layers": layers, "kind": kind})
    return study


PREAMBLE = f"""
import json, sys, warnings
sys.path.insert(0, {str(Path(__file__).parent)!r})
warnings.simplefilter("ignore")
from test_trackers import new_study, objective
from neocarbs_jax import trackers
study = new_study(".")
"""


def run(folder, program, **env):
    """Run a program after the preamble, and return what its last line says as JSON; a package prints what it likes."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(program)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **env}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def needs(*packages):
    lacking = [package for package in packages if importlib.util.find_spec(package) is None]
    return pytest.mark.skipif(bool(lacking), reason=f"needs {', '.join(lacking)}")


def test_a_record_is_plain_and_its_name_stays(tmp_path):
    study = new_study(tmp_path)
    first, failed, _ = study.run(objective, num_trials=3)
    record = record_of(study, first)
    assert record.values == {"rate": first.values["rate"], "net/layers": 1, "kind": "a", "seed": 7}
    assert record.metrics["score"] == first.score
    assert record.metrics["cost"] == 1.0
    assert record.metrics["win _"] == 0.5
    assert record.metrics["seconds"] > 0
    assert "big" not in record.metrics
    assert record.tags == {"study": "my study", "trial": "0", "status": "completed", "gpu": "none"}
    assert record.curve == [(10.0, 0.1, 1.0), (20.0, 0.2, 2.0)]
    assert (record_of(study, failed).failed, record_of(study, failed).tags["reason"]) == (True, "diverged")
    assert record_of(study, failed).values["kind"] == "null"
    again = Study.load(f"sqlite:///{tmp_path}/sweep.db", name="my study")
    assert [record_of(again, trial).id for trial in again.trials] == [record_of(study, t).id for t in study.trials]
    other = new_study(tmp_path, name="my-study")
    assert record.id not in {record_of(other, trial).id for trial in other.run(objective, num_trials=3)}


@pytest.mark.parametrize(
    ("name", "plain"), [("a/b", "a/b"), ("../x", "x"), ("/x//y/", "x/y"), ("win %", "win _"), ("", "_"), ("μ", "μ")]
)
def test_names_are_those_that_every_tracker_takes(name, plain):
    assert plain_name(name) == plain


def test_a_csv_file_follows_the_study_and_can_be_imported(tmp_path):
    study = new_study(tmp_path)
    seen = []
    tracker = CSV(study, tmp_path / "out" / "trials.csv")
    study.run(objective, num_trials=3, on_tell=all_of(tracker, lambda trial: seen.append(trial.number)))
    with (tmp_path / "out" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["status"], row["reason"]) for row in rows] == [
        ("completed", ""),
        ("failed", "diverged"),
        ("completed", ""),
    ]
    assert seen == [0, 1, 2]
    for name, age in (("left", 60), ("now", 0)):  # drafts of a process that was killed, and of one that writes
        (tmp_path / "out" / f".trials.csv.{name}").mkdir()
        os.utime(tmp_path / "out" / f".trials.csv.{name}", times=(time.time() - age,) * 2)
    tracker.sync()
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [".trials.csv.now", "trials.csv"]
    other = Study.create(SPACE, f"sqlite:///{tmp_path}/other.db")
    assert import_csv(other, tracker.file).added == 3
    with pytest.raises(ValueError, match=r"`file` must end in \.csv"):
        CSV(study, tmp_path / "trials.txt")


@needs("tensorboardX")
def test_a_tracker_that_cannot_write_warns_and_catches_up(tmp_path):
    study = new_study(tmp_path)
    folder = tmp_path / "board"
    tracker = TensorBoard(study, folder)
    folder.write_text("in the way")
    with pytest.warns(UserWarning, match=r"TensorBoard did not take trial \d .*`sync\(\)` sends it again"):
        trials = study.run(objective, num_trials=3, on_tell=tracker)
    assert len(trials) == 3
    folder.unlink()
    study.ask()  # one that runs is left out
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        tracker.sync()
        tracker.sync()
    assert sorted(path.name for path in folder.iterdir()) == [record_of(study, trial).id for trial in trials]


def test_no_tracker_is_imported_before_it_is_asked_for(tmp_path):
    names = {"wandb", "mlflow", "tensorboardX", "trackio", "pandas"}
    assert run(tmp_path, f"print(json.dumps(sorted({names!r} & set(sys.modules))))") == []


@pytest.mark.parametrize(
    ("tracker", "package"),
    [
        ("MLflow(study)", "mlflow"),
        ("TensorBoard(study, '.')", "tensorboardX"),
        ("WandB(study, 'p')", "wandb"),
        ("Trackio(study)", "trackio"),
    ],
)
def test_a_missing_package_is_named_with_its_command(tmp_path, monkeypatch, tracker, package):
    from neocarbs_jax import trackers

    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        eval(f"trackers.{tracker}", {"trackers": trackers, "study": new_study(tmp_path)})


@pytest.mark.slow
@needs("tensorboardX", "tensorboard")
def test_tensorboard_shows_each_trial_as_a_session_of_hyperparameters(tmp_path):
    sessions = run(
        tmp_path,
        """
        tracker = trackers.TensorBoard(study, "board")
        study.run(objective, num_trials=3, on_tell=tracker)
        tracker.sync()
        from pathlib import Path
        from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
        from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data as parse
        board = EventMultiplexer().AddRunsFromDirectory("board").Reload()
        out = []
        for run in sorted(board.Runs()):
            plugin = board.SummaryMetadata(run, "_hparams_/session_start_info").plugin_data.content
            values = {name: value.WhichOneof("kind") for name, value in parse(plugin).hparams.items()}
            numbers = {tag: [e.value for e in board.Scalars(run, tag)] for tag in board.Runs()[run]["scalars"]}
            out.append([values, numbers])
        print(json.dumps(out))
        """,
    )
    assert len(sessions) == 3
    values, numbers = sessions[0]
    assert values == {
        "rate": "number_value", "net/layers": "number_value", "kind": "string_value", "seed": "number_value",
    }  # fmt: skip
    assert numbers["trial/cost"] == [1.0]
    assert numbers["curve/score"] == pytest.approx([0.1, 0.2])
    assert [session[1]["trial/failed"] for session in sessions] == [[0.0], [1.0], [0.0]]


@pytest.mark.slow
@needs("mlflow")
def test_mlflow_holds_each_trial_once(tmp_path):
    *runs, seconds = run(
        tmp_path,
        """
        import mlflow
        uri = "sqlite:///mlflow.db"
        mlflow.set_tracking_uri(uri)
        with mlflow.start_run() as mine:
            tracker = trackers.MLflow(study, uri)
            study.run(objective, num_trials=3, on_tell=tracker)
            trackers.MLflow(study).sync()  # where MLflow is set to
            assert mlflow.active_run().info.run_id == mine.info.run_id
        client = mlflow.MlflowClient(uri)
        found = client.search_runs([client.get_experiment_by_name("my study").experiment_id], order_by=["tags.trial"])
        history = client.get_metric_history(found[0].info.run_id, "curve/score")
        assert [point.value for point in history] == [0.1, 0.2]
        seconds = [(r.info.end_time - r.info.start_time) / 1000 for r in found]
        print(json.dumps([[r.info.status, r.data.params, r.data.metrics, r.data.tags] for r in found] + [seconds]))
        """,
    )
    assert [status for status, _, _, _ in runs] == ["FINISHED", "FAILED", "FINISHED"]
    _, params, metrics, tags = runs[0]
    assert (params["net/layers"], params["kind"], params["seed"]) == ("1", "a", "7")
    assert (metrics["cost"], metrics["win _"], tags["gpu"]) == (1.0, 0.5, "none")
    assert seconds[0] == pytest.approx(metrics["seconds"], abs=0.002)  # MLflow counts milliseconds
    assert runs[1][3]["reason"] == "diverged"


@pytest.mark.slow
@needs("mlflow")
def test_an_mlflow_that_refuses_ends_no_sweep(tmp_path):
    done = run(
        tmp_path,
        """
        warnings.simplefilter("error", FutureWarning)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            tracker = trackers.MLflow(study, "sqlite:////dev/null/mlflow.db")
            study.run(objective, num_trials=3, on_tell=tracker)
        print(json.dumps([len(study.trials), sum("MLflow did not take trial" in str(w.message) for w in said)]))
        """,
    )
    assert done == [3, 3]


@pytest.mark.slow
@needs("trackio")
def test_trackio_holds_each_trial_once_and_leaves_a_run_of_the_users_alone(tmp_path):
    runs = run(
        tmp_path,
        """
        import trackio
        from trackio.sqlite_storage import SQLiteStorage
        mine = trackio.init("mine", embed=False)
        tracker = trackers.Trackio(study)
        study.run(objective, num_trials=3, on_tell=tracker)
        tracker.sync()
        trackio.log({"still": 1.0})
        trackio.finish()
        assert [row["still"] for row in SQLiteStorage.get_logs("mine", mine.name)] == [1.0]
        found = sorted(trackio.Api().runs("my-study"), key=lambda run: run.config["trial"])
        print(json.dumps([[run.config, SQLiteStorage.get_logs("my-study", run.name)] for run in found]))
        """,
        TRACKIO_DIR=str(tmp_path / "trackio"),
    )
    assert len(runs) == 3
    config, logs = runs[0]
    assert (config["net/layers"], config["kind"], config["status"]) == (1, "a", "completed")
    assert [row.get("curve/score") for row in logs] == [0.1, 0.2, None]
    assert logs[-1]["cost"] == 1.0
    assert runs[1][0]["reason"] == "diverged"


def offline_records(file):
    """Records of an offline run: protocol buffers in LevelDB's log format after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # the end of a block, which no record's head fits into
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # full, last
            yield Record.FromString(parts)
            parts = b""


@pytest.mark.slow
@needs("wandb")
def test_wandb_offline_writes_a_run_for_each_trial(tmp_path):
    with_own = run(
        tmp_path,
        """
        import wandb
        mine = wandb.init(project="mine", mode="offline", settings=wandb.Settings(silent=True))
        tracker = trackers.WandB(study, "demo", mode="offline")
        study.run(objective, num_trials=3, on_tell=tracker)
        print(json.dumps([wandb.run is mine, mine.id]))
        """,
        WANDB_DIR=str(tmp_path),
    )
    assert with_own[0]
    files = [
        file for file in sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb")) if with_own[1] not in file.name
    ]
    runs = []
    for file in files:
        records = list(offline_records(file))
        [head] = [record.run for record in records if record.HasField("run")][:1]
        config = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in head.config.update}
        summary = {
            item.key or "/".join(item.nested_key): json.loads(item.value_json)
            for record in records if record.HasField("summary") for item in record.summary.update
        }  # fmt: skip
        history = [
            {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            for record in records if record.HasField("history")
        ]  # fmt: skip
        [code] = [record.exit.exit_code for record in records if record.HasField("exit")]
        runs.append((head.run_group, config, summary, history, code))
    runs.sort(key=lambda run: run[2]["trial"])
    assert len(runs) == 3
    group, config, summary, history, code = runs[0]
    assert (group, config["net/layers"], config["kind"], code) == ("my study", 1, "a", 0)
    assert (summary["cost"], summary["gpu"]) == (1.0, "none")
    assert [row["curve/score"] for row in history] == [0.1, 0.2]
    assert (runs[1][2]["reason"], runs[1][4]) == ("diverged", 1)
