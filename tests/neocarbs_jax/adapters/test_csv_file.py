"""Past trials from a CSV file."""

import math

import pytest

from neocarbs_jax.adapters.csv_file import import_csv
from neocarbs_jax.report.report import write_csv
from neocarbs_jax.space import Choice, Integer, Log, SearchSpace
from neocarbs_jax.study import Study

SPACE = SearchSpace(rate=Log(1e-5, 1e-1), epochs=Integer(1, 8), kind=Choice(("a", (1, 2), None, True)))


@pytest.fixture
def study(tmp_path):
    return Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", strategy="random")


def test_what_a_report_writes_can_be_read_again(study, tmp_path):
    def objective(values):
        if values["epochs"] == 3:
            raise FloatingPointError("diverged, badly")
        return values["rate"], float(values["epochs"]), {"steps": 7}

    trials = study.run(objective, num_trials=9)
    study.interrupt(study.ask()[0])
    write_csv(tmp_path / "trials.csv", study.trials)
    other = Study.create(SPACE, f"sqlite:///{tmp_path}/other.db")
    imported = import_csv(other, tmp_path / "trials.csv")
    assert (imported.added, imported.skipped) == (9, ("line 11: its status is interrupted",))
    assert [(t.status, t.values, t.score, t.reason) for t in other.trials] == [
        (t.status, t.values, t.score, t.reason) for t in trials
    ]
    assert other.trials[0].attrs == {"steps": "7"}


def test_a_file_of_somebody_elses(study, tmp_path):
    file = tmp_path / "past.csv"
    file.write_text(
        "\ufeffkind,rate,epochs,accuracy,hours,note\n"
        'a,1e-3,4,0.5,2.0,"good, cheap"\n'
        '"(1, 2)",10,900,0.7,9,\n'  # beyond the bounds
        '"[1, 2]",1e-3,4,,1.5,no score\n'
        "b,1e-3,4,0.5,2.0,no option\n"
        "a,1e-3,4,0.5,0,no cost\n"
        "a,x,4,0.5,1,no rate\n"
        "a,1e-3\n"
    )
    imported = import_csv(study, file, score="accuracy", cost="hours")
    assert imported.added == 3
    assert [line.split(":")[0] for line in imported.skipped] == ["line 5", "line 6", "line 7", "line 8"]
    assert [t.status for t in study.trials] == ["completed", "completed", "failed"]
    assert [t.values["kind"] for t in study.trials] == ["a", (1, 2), (1, 2)]
    assert study.trials[1].values["epochs"] == 900
    assert study.trials[0].attrs == {"note": "good, cheap"}
    assert study.trials[2].reason == "it has no score"
    assert math.isfinite(study.ask()[0].values["rate"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"rate,score,cost\n1,1,1\n", "must have the columns rate, epochs, kind, score, cost; epochs, kind is missing"),
        (b"", "must have the columns"),
        (b"rate,epochs,kind,score,cost,cost\n", "must have columns of different names; got cost twice"),
        (b"\xff\xfe\x00", "`file` must be a CSV file that can be read"),
        (None, "`file` must be a CSV file that can be read"),
    ],
)
def test_what_is_no_such_file_is_refused(study, tmp_path, content, message):
    file = tmp_path / "past.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        import_csv(study, file)
    assert study.trials == []


def test_columns_of_any_name_are_attributes(study, tmp_path):
    file = tmp_path / "past.csv"
    file.write_text("rate,epochs,kind,reward,hours,score,values,self\n1e-3,4,a,0.5,2,9,8,7\n")
    assert import_csv(study, file, score="reward", cost="hours").added == 1
    assert study.trials[0].attrs == {"score": "9", "values": "8", "self": "7"}
