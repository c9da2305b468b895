"""Studies by path or URL and by name, and the places where results go."""

import optuna
import pytest

from neocarbs_jax import Log, SearchSpace, Study
from neocarbs_jax.report import lookup, outputs
from neocarbs_jax.report.settings import shared_and_varying
from neocarbs_jax.study.ledger import Trial


@pytest.fixture
def database(tmp_path):
    """Path of a database with one study of one completed trial."""
    study = Study.create(SearchSpace(lr=Log(0.1, 0.9)), f"sqlite:///{tmp_path}/a.db", name="mine")
    [trial] = study.ask()
    study.tell(trial, 1.0, 2.0, settings={"horizon": 8})
    study.close()
    return str(tmp_path / "a.db")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("runs/a.db", "sqlite:///runs/a.db"),
        ("/data/a.db", "sqlite:////data/a.db"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://host/db", "postgresql://host/db"),
    ],
)
def test_a_path_stands_for_a_sqlite_file(text, url):
    assert lookup.storage_url(text) == url


@pytest.mark.parametrize("text", ["", "sqlite:/a.db", "sqlite:a.db"])
def test_what_is_neither_path_nor_url_is_refused(text):
    with pytest.raises(ValueError, match="`storage` must be a path, or read sqlite:///PATH; got"):
        lookup.storage_url(text)


@pytest.mark.parametrize(("name", "said"), [(None, "study there is 'mine'."), ("pong", "is 'mine', not 'pong'.")])
def test_the_only_study_is_taken_and_named(database, name, said):
    lines = []
    assert lookup.find_study(database, name, lines.append).name == "mine"
    assert said in lines[0]


def test_of_several_studies_the_known_names_are_listed(database):
    Study.create(SearchSpace(lr=Log(0.1, 0.9)), lookup.storage_url(database), name="other")
    for name in ("yours", None):
        with pytest.raises(ValueError, match=r"`name` must be a study of the storage \(mine, other\); got"):
            lookup.find_study(database, name)
    assert lookup.find_study(database, "other").name == "other"


def test_a_storage_without_studies_and_one_of_others_are_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/b.db"
    optuna.storages.RDBStorage(url)
    with pytest.raises(ValueError, match="`storage` must hold a study; got"):
        lookup.find_study(url, None)
    optuna.create_study(storage=url, study_name="theirs")
    with pytest.raises(ValueError, match="`name` must be that of a study that NeoCARBS made; 'theirs' has no"):
        lookup.find_study(url, "theirs")


@pytest.mark.parametrize(
    ("name", "folder"),
    [("gymnax:CartPole-v1", "gymnax-CartPole-v1"), ("../a b", "a-b"), ("..", "study"), ("a_1", "a_1")],
)
def test_a_study_name_becomes_a_folder_name(name, folder):
    assert outputs.folder_name(name) == folder


def test_trying_a_folder_leaves_nothing(tmp_path):
    outputs.check_folder("out", tmp_path / "a" / "b")
    outputs.check_file("gif", tmp_path / "a" / "b.gif", ".gif")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"`out` must be a folder that can be written; got .*file/out"):
        outputs.check_folder("out", tmp_path / "file" / "out")
    with pytest.raises(ValueError, match="`out` must be a folder that can be written"):
        outputs.check_folder("out", tmp_path / "file")
    with pytest.raises(ValueError, match=r"`gif` must end in \.gif"):
        outputs.check_file("gif", tmp_path / "a.png", ".gif")
    (tmp_path / "a.gif").mkdir()
    with pytest.raises(ValueError, match=r"`gif` must be a file; got .*, which is a folder"):
        outputs.check_file("gif", tmp_path / "a.gif", ".gif")


def test_settings_that_trials_share_are_told_from_those_that_differ():
    trials = [
        Trial(i, {"lr": 0.1 * i}, "completed", attrs={"settings": {"lr": 0.1 * i, "h": 8, "key": i}}) for i in (1, 2)
    ]
    assert shared_and_varying([*trials, Trial(3, {"lr": 0.3}, "running")]) == ({"h": 8}, ["key"])
    assert shared_and_varying([]) == ({}, [])
