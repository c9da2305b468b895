"""Score and cost from what a program prints or writes."""

import math

import pytest

from neocarbs_jax.programs.outcome import NoResult, Reading


@pytest.fixture
def read(tmp_path):
    def read(reading, text, **files):
        (tmp_path / "output.txt").write_text(text)
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_text(content)
        return reading.read(tmp_path / "output.txt", tmp_path, 3.5)

    return read


def test_the_last_json_line_with_a_score_counts(read):
    text = '{"score": 1}\nepoch 2\n{"score": 2, "cost": 9, "note": "x"}\n{"loss": 3}\nbye\n'
    assert read(Reading(), text) == (2.0, 9.0, {"note": "x"})


def test_seconds_are_the_cost_where_none_is_told(read):
    assert read(Reading(), '{"score": "0.5"}') == (0.5, 3.5, {})


def test_other_keys_and_a_file(read):
    reading = Reading(score="accuracy", cost="hours", file="result.json")
    assert read(reading, "", result='{"accuracy": 0.9,\n "hours": 2}') == (0.9, 2.0, {})


def test_regular_expressions_take_the_last_match(read):
    reading = Reading(score_regex=r"reward=([-\d.]+)", cost_regex=r"took (\d+)s")
    assert read(reading, "reward=1.5\ntook 3s\nreward=-2.5\ntook 4s") == (-2.5, 4.0, {})


@pytest.mark.parametrize("text", ['{"score": null}', '{"score": NaN}', '{"score": "nan"}'])
def test_what_could_not_be_measured_is_nan(read, text):
    assert math.isnan(read(Reading(), text)[0])


@pytest.mark.parametrize(
    ("reading", "text", "says"),
    [
        (Reading(), "done", 'no line of its output is a JSON object with "score"'),
        (Reading(), '["score"]\n{"points": 3}', 'no line of its output is a JSON object with "score"'),
        (Reading(), '{"score": "high"}', "`score` is no number but 'high'"),
        (Reading(), '{"score": 1, "cost": [1]}', r"`cost` is no number but \[1\]"),
        (Reading(file="none.json"), "", "it did not write none.json"),
        (Reading(score_regex="x=(.*)"), "y=1", "`score_regex` matches nothing"),
    ],
)
def test_what_is_missing_is_said(read, reading, text, says):
    with pytest.raises(NoResult, match=says):
        read(reading, text)


@pytest.mark.parametrize(("pattern", "says"), [("score=[", "must be a regular expression"), ("score=1", "a group")])
def test_a_pattern_that_cannot_be_is_refused(pattern, says):
    with pytest.raises(ValueError, match=f"`score_regex` .*{says}"):
        Reading(score_regex=pattern)
