"""The harness of the benchmarks: stamps, tables, the store that later runs merge into, timing in turns."""

import json
import sys

import numpy as np

from experiments.bench import harness
from experiments.bench.harness import Store


def test_a_stamp_names_the_command_and_every_package(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pytest", "--tasks", "two words"])
    stamp = harness.stamp("optuna", "no-such-package")
    assert stamp.command.endswith("--tasks 'two words'")
    assert stamp.versions["jax"]
    assert stamp.versions["no-such-package"] == "absent"
    assert stamp.environment.startswith("python 3.")
    assert f"`{stamp.command}`; {stamp.date}; " in str(stamp)


def test_a_page_has_its_stamp_below_the_title_and_no_empty_paragraphs():
    stamp = harness.stamp()
    assert harness.page("Speed", stamp, "", "slow") == f"# Speed\n\n{stamp}\n\nslow\n"


def test_a_table_has_a_line_per_row():
    assert harness.table(("a", "b"), [(1, None), ("x", 2.5)]) == "| a | b |\n| --- | --- |\n| 1 |  |\n| x | 2.5 |"


def test_a_store_replaces_rows_of_the_same_key_and_is_found_again(tmp_path):
    for name in ("rows.json", "rows.json.gz"):
        store = Store(tmp_path / "deeper" / name, key_fn=lambda row: row["name"])
        assert store.rows == []
        store.merge([{"name": "a", "n": 1}, {"name": "a", "n": 2}, {"name": "b", "n": 3}])
        kept = store.merge([{"name": "a", "n": 4}])
        assert kept == [{"name": "b", "n": 3}, {"name": "a", "n": 4}]
        assert Store(store.file, store.key_fn).rows == kept
        assert [file.name for file in store.file.parent.glob("*.tmp")] == []


def test_the_same_rows_are_the_same_bytes(tmp_path):
    files = [tmp_path / "a.json.gz", tmp_path / "b.json.gz"]
    for file in files:
        Store(file, key_fn=lambda row: row["name"]).merge([{"name": "a"}])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_record_holds_its_stamp(tmp_path):
    stamp = harness.stamp()
    harness.write_record(tmp_path / "raw" / "speed.json", stamp, rows=[1, 2])
    document = json.loads((tmp_path / "raw" / "speed.json").read_text())
    assert document["rows"] == [1, 2]
    assert document["stamp"]["command"] == stamp.command


def test_calls_take_turns_and_warm_up_rounds_are_left_out():
    seen = []
    calls = {name: lambda turn, name=name: seen.append((name, turn)) or turn for name in ("a", "b")}
    timed = harness.time_in_turns(calls, rounds=2, warm_up=1)
    assert seen == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert timed["b"].results == [1, 2]
    assert timed["a"].wall.shape == timed["a"].cpu.shape == (2,)
    assert np.all(timed["a"].wall >= 0)
