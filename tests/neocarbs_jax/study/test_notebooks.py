"""What notebooks show of studies, trials and spaces, and trials as a table of pandas."""

import datetime
import math
import sys
import xml.etree.ElementTree as ET

import pytest

from neocarbs_jax.space import Choice, Integer, Linear, Log, SearchSpace
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.display import study_html

SPACE = SearchSpace(
    rate=Log(1e-4, 1e-1, center=1e-3, width=0.2), net={"<layers>": Integer(2, 8, step=2)}, cost=Linear(0, 1),
    kind=Choice(("a", (1, 2), None)), seed=7,
)  # fmt: skip


@pytest.fixture
def study(tmp_path):
    return Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", name="<mine>", strategy="random")


def add(study, score, cost, **attrs):
    study.add({"rate": 1e-2, "net/<layers>": 4, "cost": 0.5, "kind": (1, 2)}, score, cost, attrs=attrs)


def cells(markup):
    """Rows of all tables of a piece of HTML, which must be well-formed."""
    tree = ET.fromstring(f"<div>{markup}</div>")
    return [[cell.text or "" for cell in row] for row in tree.iter("tr")]


def test_a_space_shows_its_axes_where_a_sweep_starts_and_fixed_values():
    assert cells(SPACE._repr_html_()) == [
        ["name", "axis", "values", "start"],
        ["rate", "Log", "0.0001 to 0.1, prior width 0.2", "0.001"],
        ["net/<layers>", "Integer", "2 to 8, step 2", "6"],
        ["cost", "Linear", "0 to 1", "0.5"],
        ["kind", "Choice", "'a', (1, 2), None", "'a'"],
        ["seed", "fixed", "7", ""],
    ]


def test_a_trial_shows_what_was_measured_beside_what_was_predicted():
    trial = Trial(
        3, {"rate": 1e-2}, "completed", 0.123456, 7.0,
        predicted_score=0.1, predicted_score_std=0.02, predicted_cost=6.0, rating=0.5, attrs={"note": "x" * 1000},
    )  # fmt: skip
    rows = cells(trial._repr_html_())
    assert rows[:6] == [
        ["trial 3", "", "predicted"],
        ["status", "completed", ""],
        ["rating", "0.5", ""],
        ["score", "0.1235", "0.1 ± 0.02"],
        ["cost", "7", "6"],
        ["rate", "0.01", ""],
    ]
    assert len(rows[6][1]) < 300
    failed = cells(Trial(0, {}, "failed", reason="<diverged>")._repr_html_())
    assert ["reason", "<diverged>", ""] in failed


def test_what_a_parent_has_paid_is_not_spent_again():
    trials = [Trial(0, {}, "completed", 1.0, 4.0), Trial(1, {}, "completed", 2.0, 9.0, parent=0, inherited=3.0)]
    assert "cost in all 10<" in study_html("lines", trials)


def test_a_study_without_a_front_says_so(study):
    assert "no trials yet" in study._repr_html_()
    add(study, math.nan, 1.0, reason="diverged")
    study.ask()
    shown = ET.fromstring(study._repr_html_())
    assert "".join(shown.itertext()) == "<mine>: 1 failed, 1 running; cost in all 1. There is no front yet."


def test_a_study_shows_a_picture_of_its_front_and_the_values(study):
    for score, cost in ((0.1, 1.0), (0.3, 10.0), (0.2, 100.0), (0.9, 1000.0)):
        add(study, score, cost)
    tree = ET.fromstring(f"<div>{study._repr_html_()}</div>")
    [picture] = tree.iter("svg")
    dots = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in picture.iter("circle")]
    assert [x for x, _ in dots] == pytest.approx([28.0, 149.3, 270.7, 392.0], abs=0.1)  # even on a logarithmic axis
    assert sorted(dots, key=lambda dot: -dot[1]) == [dots[0], dots[2], dots[1], dots[3]]
    [path] = picture.iter("path")
    assert path.attrib["d"].count("V") == 2  # the third trial is not on the front
    head, *rows = cells(study._repr_html_())
    assert head == ["trial", "cost", "score", "rate", "net/<layers>", "cost", "kind", "seed"]
    assert [row[:3] for row in rows] == [["0", "1", "0.1"], ["1", "10", "0.3"], ["3", "1000", "0.9"]]


def test_a_study_of_one_trial_and_one_with_a_long_front_are_shown(study):
    add(study, 0.5, 3.0)
    assert "nan" not in study._repr_html_()
    for number in range(20):
        add(study, float(number), 10.0 + number)
    assert "the 12 dearest of 20 points" in study._repr_html_()
    assert len(cells(study._repr_html_())) == 13


def test_trials_are_a_table_of_pandas(study):
    pandas = pytest.importorskip("pandas")
    empty = study.trials_dataframe()
    add(study, 0.1, 1.0, speed=3.5)
    add(study, math.nan, 2.0, reason="diverged")
    add(study, 0.3, 4.0, note="good")
    [running] = study.ask()
    frame = study.trials_dataframe()
    assert [*empty.columns] == [name for name in frame.columns if not name.startswith("attrs/")]
    assert len(empty) == 0
    assert frame.index.name == "trial"
    assert frame.status.tolist() == ["completed", "failed", "completed", "running"]
    assert frame.score.dropna().tolist() == [0.1, 0.3]
    assert frame.cost.dropna().tolist() == [1.0, 2.0, 4.0]
    assert frame.on_front.tolist() == [True, False, True, False]
    assert frame["values/cost"].tolist() == [0.5, 0.5, 0.5, running.values["cost"]]  # an axis of a taken name
    assert frame["net/<layers>"].dtype.kind == "i"
    assert frame.kind.tolist()[:3] == [(1, 2)] * 3
    assert frame.seed.tolist() == [7] * 4
    assert frame.reason[1] == "diverged"
    assert frame["attrs/speed"][0] == 3.5
    assert frame["attrs/note"][2] == "good"
    assert [str(frame[name].dtype) for name in ("score", "predicted_score", "seconds")] == ["float64"] * 3
    assert isinstance(frame.started[0], datetime.datetime)
    assert pandas.isna(frame.ended[3])


def test_a_missing_pandas_is_named_with_its_command(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        study.trials_dataframe()
