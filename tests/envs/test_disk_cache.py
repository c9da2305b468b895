"""Tables on disk: read again, built anew where damaged or foreign, and never in the way."""

import os

import numpy as np
import pytest

from envs import disk_cache
from envs.drive_scenes import WORTH_KEEPING, Scenes, scenes


class Builder:
    """Builds arrays and counts how often."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {"a": np.arange(5000, dtype=np.int16), "b": np.full((2, 3), 0.1, np.float32)}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "neocarbs-p3o" / "tables"


def same(x, y):
    assert set(x) == set(y)
    for name in x:
        assert x[name].dtype == y[name].dtype
        np.testing.assert_array_equal(x[name], y[name])


def test_what_was_built_is_read_again(home):
    build = Builder()
    first = disk_cache.kept("tables", "key", build)
    same(disk_cache.kept("tables", "key", build), first)
    assert build.calls == 1
    disk_cache.kept("tables", "another key", build)
    assert build.calls == 2
    assert len(list(home.iterdir())) == 2


def damaged(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [damaged, lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"something else"],
    ids=["a wrong bit", "cut", "empty", "foreign"],
)
def test_a_file_that_is_damaged_is_built_anew_and_mended(home, spoil):
    build = Builder()
    first = disk_cache.kept("tables", "key", build)
    [file] = home.iterdir()
    file.write_bytes(spoil(file.read_bytes()))
    same(disk_cache.kept("tables", "key", build), first)
    assert build.calls == 2
    same(disk_cache.kept("tables", "key", build), first)
    assert build.calls == 2


@pytest.mark.parametrize("write", [lambda file: np.save(file, np.ones(3)), lambda file: np.savez(file, key="other")])
def test_a_file_of_something_else_is_built_anew(home, write):
    build = Builder()
    first = disk_cache.kept("tables", "key", build)
    [file] = home.iterdir()
    with file.open("wb") as stream:
        write(stream)
    same(disk_cache.kept("tables", "key", build), first)
    assert build.calls == 2


def test_only_those_that_were_used_last_are_kept(home):
    build = Builder()
    for number in range(disk_cache.MOST_FILES):
        disk_cache.kept("tables", str(number), build)
        os.utime(max(home.iterdir(), key=lambda file: file.stat().st_mtime), (number, number))
    disk_cache.kept("tables", "0", build)  # used, so that 1 is now the oldest
    disk_cache.kept("tables", "one more", build)
    assert len(list(home.iterdir())) == disk_cache.MOST_FILES
    calls = build.calls
    disk_cache.kept("tables", "0", build)
    assert build.calls == calls
    disk_cache.kept("tables", "1", build)
    assert build.calls == calls + 1


def test_without_a_folder_all_is_built_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    build = Builder()
    same(disk_cache.kept("tables", "key", build), disk_cache.kept("tables", "key", build))
    assert build.calls == 2


def test_scenes_of_drive_are_the_same_from_disk_and_small_tables_stay_in_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    numbers = (5, 0, WORTH_KEEPING, 2, 1, 1)
    drawn = scenes.__wrapped__(*numbers)
    [file] = (tmp_path / "neocarbs-p3o" / "drive").iterdir()
    before = file.stat().st_ino
    again = scenes.__wrapped__(*numbers)
    assert isinstance(again, Scenes)
    same(vars(again), vars(drawn))
    assert file.stat().st_ino == before
    scenes.__wrapped__(5, 0, 2, 2, 1, 1)
    assert len(list(file.parent.iterdir())) == 1
