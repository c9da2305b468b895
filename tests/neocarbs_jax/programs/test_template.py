"""Command lines with placeholders: no shell, one word per value, unknown names refused."""

import pytest

from neocarbs_jax.programs import template

ABOUT = {"trial": 7, "replicate": 0, "folder": "/tmp/a b", "values": "{}"}


def fill(command, **values):
    return template.fill(template.split(command), values, ABOUT)


def test_values_take_the_places_of_their_names():
    words = fill("python 'my train.py' --lr {lr} --n={n} {trial}", lr=1e-3, n=4)
    assert words == ["python", "my train.py", "--lr", "0.001", "--n=4", "7"]


@pytest.mark.parametrize("value", ["a b", "$(rm -rf /)", "'; echo", '"', "{lr}", "", "ü\n"])
def test_a_text_stays_one_word_whatever_it_holds(value):
    assert fill("run {name}", name=value) == ["run", value]


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (None, "null"), ((1, 2), "[1, 2]"), (0.1, "0.1"), (10, "10"), (1e-7, "1e-07")]
)
def test_other_values_are_json(value, text):
    assert fill("run {x}", x=value) == ["run", text]


def test_doubled_braces_are_braces_and_names_may_be_nested():
    assert template.fill(template.split("awk {{print}} {train/lr}"), {"train/lr": 2}, ABOUT) == ["awk", "{print}", "2"]


@pytest.mark.parametrize("command", ["", "   ", "run 'open"])
def test_what_is_no_command_is_refused(command):
    with pytest.raises(ValueError, match="`command` must"):
        template.split(command)


def test_names_are_checked_and_those_left_out_are_told():
    assert template.check(template.split("run {lr} {trial}"), ["lr", "steps"]) == ["steps"]
    assert template.check(template.split("run {values}"), ["lr", "steps"]) == []
    with pytest.raises(ValueError, match=r"placeholders for lr, trial, .*; got \{lrr\}"):
        template.check(template.split("run {lrr}"), ["lr"])


def test_the_environment_tells_the_values_too():
    variables = template.environment({"train/lr": 0.5, "opt": "adam"}, ABOUT)
    assert variables["NEOCARBS_TRIAL"] == "7"
    assert variables["NEOCARBS_VALUE_TRAIN_LR"] == "0.5"
    assert variables["NEOCARBS_VALUE_OPT"] == "adam"
