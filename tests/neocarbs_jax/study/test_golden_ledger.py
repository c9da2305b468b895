"""A ledger that version 0.1.0 wrote: later versions read it, and go on with it."""

import gzip
from pathlib import Path

import pytest

from neocarbs_jax.study import Study

LEDGER = Path(__file__).parents[1] / "golden" / "ledger-0.1.0.db.gz"
SCORES = [0.0, -3.594897020781218, -0.7861339993107769, -0.8202755897493709, -3.2053990807000923, -0.2941490117339077]


@pytest.fixture
def storage(tmp_path):
    file = tmp_path / "ledger.db"
    file.write_bytes(gzip.decompress(LEDGER.read_bytes()))
    return f"sqlite:///{file}"


def test_a_ledger_of_version_0_1_0_is_read(storage):
    study = Study.load(storage, name="golden")
    assert [t.status for t in study.trials] == ["completed"] * 7 + ["failed", "interrupted", "interrupted"]
    assert [t.score for t in study.trials[:6]] == SCORES
    assert study.trials[7].reason == "diverged"
    assert study.trials[0].attrs == {"steps": 500}
    assert study.trials[0].values["algorithm"] == "p3o"
    assert [t.number for t in study.front] == [2, 5, 0]


def test_and_goes_on_as_that_version_would_have(storage):
    study = Study.create(Study.load(storage, name="golden").space, storage, name="golden")
    [trial] = study.ask()
    assert trial.values == study.trials[9].values  # which died while it ran
    assert study.tell(trial, 1.0, 1.0).status == "completed"
