"""Studies as the page reads them: never written, only what is new, and what is wrong in one sentence."""

import hashlib
import sqlite3
import time

import optuna
import pytest

pytest.importorskip("dash")

from neocarbs_jax import Linear, Log, SearchSpace, Study, dashboard
from neocarbs_jax.dashboard.source import Source
from neocarbs_jax.dashboard.storage import open_read_only

SPACE = SearchSpace(lr=Log(1e-3, 1.0))


@pytest.fixture(params=["a.db", "a.log"])
def file(request, tmp_path):
    """Path of a storage with a study of two trials, one of them running."""
    study = Study.create(SPACE, tmp_path / request.param, name="mine", compilation_cache=False)
    study.add({"lr": 0.1}, 1.0, 2.0)
    study.ask()
    study.close()
    return tmp_path / request.param


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_reading_leaves_every_byte_as_it_was(file):
    before = digest(file)
    source = Source(open_read_only(str(file)), fits=False)
    assert source.names() == ["mine"]
    assert [t.status for t in source.moment("mine").trials] == ["completed", "running"]
    assert digest(file) == before
    assert {path.name for path in file.parent.iterdir()} == {file.name}


def test_a_database_refuses_every_write(file):
    if file.suffix == ".log":
        pytest.skip("a journal has no such mode")
    storage = open_read_only(str(file))
    with pytest.raises(optuna.exceptions.StorageInternalError):
        optuna.create_study(storage=storage, study_name="other")
    with pytest.raises(optuna.exceptions.StorageInternalError):
        storage.set_trial_user_attr(2, "a", 1)


@pytest.mark.slow
def test_postgresql_refuses_every_write_too(postgres):
    study = Study.create(SPACE, postgres, name="read only", compilation_cache=False)
    study.add({"lr": 0.1}, 1.0, 2.0)
    study.close()
    storage = open_read_only(postgres)
    assert len(Source(storage, fits=False).moment("read only").trials) == 1
    with pytest.raises(optuna.exceptions.StorageInternalError) as refusal:
        optuna.create_study(storage=storage, study_name="other")
    assert "read-only transaction" in str(refusal.value.__cause__)
    storage.remove_session()
    storage.engine.dispose()


def test_a_database_of_something_else_is_refused_and_gets_no_tables(tmp_path):
    with sqlite3.connect(tmp_path / "notes.db") as notes:
        notes.execute("create table notes (text)")
    notes.close()
    before = digest(tmp_path / "notes.db")
    with pytest.raises(ValueError, match=r"`storage` must hold a study; got .*notes\.db.*, which holds none\."):
        dashboard.make(str(tmp_path / "notes.db"))
    with pytest.raises(ValueError, match=r"`storage` must exist; got"):
        dashboard.make(str(tmp_path / "none.db"))
    assert digest(tmp_path / "notes.db") == before
    assert not (tmp_path / "none.db").exists()


def test_a_study_that_is_not_there_is_named_with_those_that_are(file):
    with pytest.raises(ValueError, match=r"`study` must be a study of the storage \(mine\); got 'yours'\."):
        dashboard.make(str(file), "yours")


def test_studies_of_other_tools_are_not_offered(file):
    optuna.create_study(storage=Study.load(file, name="mine").optuna_study._storage, study_name="theirs")
    assert Source(open_read_only(str(file)), fits=False).names() == ["mine"]


def test_a_version_changes_with_the_rows_and_not_otherwise(file, monkeypatch):
    monkeypatch.setattr("neocarbs_jax.dashboard.source._LEAST_AGE", 0.0)
    source = Source(open_read_only(str(file)), fits=False)
    first = source.moment("mine")
    assert source.moment("mine") is first
    study = Study.load(file, name="mine", compilation_cache=False)
    [running] = [t for t in study.trials if t.status == "running"]
    study.annotate(running, note=1)
    second = source.moment("mine")
    assert second.trials[1].attrs == {"note": 1}
    study.tell(running, 3.0, 4.0)
    third = source.moment("mine")
    assert third.trials[1].score == 3.0
    assert len({first.version, second.version, third.version}) == 3


def test_a_study_may_go_on_over_another_space_and_may_be_deleted_and_made_again(file, monkeypatch):
    monkeypatch.setattr("neocarbs_jax.dashboard.source._LEAST_AGE", 0.0)
    source = Source(open_read_only(str(file)), fits=False)
    source.moment("mine")
    with pytest.warns(UserWarning, match="wider is new"):
        Study.create(SearchSpace(lr=Log(1e-3, 1.0), wider=Linear(0, 1)), file, name="mine", compilation_cache=False)
    assert set(source.moment("mine").snapshot.log_axes) == {"lr", "wider"}
    storage = Study.load(file, name="mine").optuna_study._storage
    optuna.delete_study(study_name="mine", storage=storage)
    with pytest.raises(ValueError, match=r"`study` must be a study of the storage; 'mine' is there no more\."):
        source.moment("mine")
    Study.create(SPACE, file, name="mine", compilation_cache=False)
    assert source.moment("mine").trials == []


def test_a_study_whose_scores_are_to_be_low_keeps_its_direction(tmp_path):
    study = Study.create(SPACE, tmp_path / "low.db", name="low", direction="minimize", compilation_cache=False)
    study.add({"lr": 0.1}, 1.0, 2.0)
    study.close()
    [trial] = Source(open_read_only(str(tmp_path / "low.db")), fits=False).moment("low").trials
    assert (trial.score, trial.direction) == (1.0, "minimize")


def test_the_expected_front_comes_from_a_thread_beside_the_page(file):
    study = Study.load(file, name="mine", compilation_cache=False)
    for number in range(4):
        study.add({"lr": 0.01 * (1 + number)}, float(number), 1.0 + number)
    source = Source(open_read_only(str(file)))
    moment = source.moment("mine")
    assert moment.fitting
    assert not moment.snapshot.expected_front
    end = time.monotonic() + 120
    while source.moment("mine").fitted is None and time.monotonic() < end:
        time.sleep(0.05)
    moment = source.moment("mine")
    assert (moment.fitted, moment.fitting, moment.problem) == (5, False, "")
    assert moment.snapshot.expected_front
    assert set(moment.snapshot.importances[0].shares) == {"lr"}
