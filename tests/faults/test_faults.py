"""A sample of the faults that `make test-faults` injects by the hundred."""

import importlib.util
import random
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("faults", Path(__file__).with_name("faults.py"))
faults = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(faults)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sample"),
    [("sqlite", ["SIGKILL", "SIGINT", "clock jumps"]), ("journal", ["SIGKILL"]), ("postgresql", ["connections cut"])],
)
def test_nothing_is_lost_and_nothing_is_wrong(tmp_path, kind, sample):
    random.seed(0)
    rows = faults.break_sweep(kind, sample, tmp_path)
    if rows is None:
        pytest.skip(f"{kind} is not on this machine")
    assert [row for row in rows if row["lost"] or row["wrong"]] == []
    assert rows[-1]["trials"] >= faults.STEPS


def test_a_lost_trial_and_an_invented_one_are_seen(tmp_path):
    """The harness itself: a note of what no ledger holds, and a row that nobody measured."""
    sweep = faults.Sweep(tmp_path, f"sqlite:///{tmp_path}/sweep.db")
    worker = sweep.start()
    assert worker.wait(timeout=120) == 0
    assert sweep.check() == (0, [])
    notes = sweep.notes.read_text().splitlines()
    kept = [line for line in notes if '"measured"' not in line]
    sweep.notes.write_text("\n".join([*kept, '{"told": 99, "status": "completed", "score": 1.0}']) + "\n")
    lost, wrong = sweep.check()
    assert lost == 1
    assert len(wrong) == faults.STEPS
