"""Many workers, one study, in a real PostgreSQL server; skipped where none is installed."""

import subprocess
import sys
import textwrap

import pytest

from neocarbs_jax.study import Study

pytest.importorskip("psycopg")


WORKER = """
    import sys
    from neocarbs_jax.space import Integer, Log, SearchSpace
    from neocarbs_jax.study import Study
    space = SearchSpace(learning_rate=Log(1e-5, 1e-1), epochs=Integer(1, 8))
    study = Study.create(space, sys.argv[1], name="shared")
    study.run(lambda values: (values["learning_rate"], float(values["epochs"])), num_trials=8)
"""


@pytest.mark.slow
def test_workers_share_a_study_without_repeating_each_other(postgres, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(WORKER))
    workers = [subprocess.Popen([sys.executable, script, postgres]) for _ in range(2)]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    study = Study.load(postgres, name="shared")
    trials = study.trials
    study.close()
    assert 8 <= len(trials) <= 9  # both may see the last free place at once
    assert {t.status for t in trials} == {"completed"}
    assert len({tuple(t.values.items()) for t in trials}) == len(trials)  # a step may leave one axis where it was
    assert [t.number for t in trials] == list(range(len(trials)))


def test_a_server_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`storage` must name a database that can be opened") as refusal:
        Study.load("postgresql://postgres:secret@127.0.0.1:1/none")
    assert "secret" not in str(refusal.value)
