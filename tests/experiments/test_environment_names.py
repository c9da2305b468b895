"""Environments by name: with arguments, and those that a user wrote."""

import pytest

from envs.pong import Pong
from experiments.environments import make_env, split, with_arguments

MINE = """
from envs.pong import Pong

def easy(frameskip: int = 4):
    return Pong(frameskip=frameskip)

def nothing():
    return 3

number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_envs.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["my_envs:easy", "my_envs.py:easy", "my_envs.py:easy?frameskip=4"])
def test_a_users_own_environment_is_made_by_module_or_file(folder, name):
    env = make_env(name)
    assert isinstance(env, Pong)
    assert env.frameskip == 4


def test_arguments_may_follow_the_name():
    assert make_env("pong?frameskip=2").frameskip == 2
    assert split("pong?frameskip=2&continuous=true") == ("pong", {"frameskip": 2, "continuous": True})
    assert (
        with_arguments("pong?frameskip=2", {"frameskip": 3, "continuous": False}) == "pong?continuous=False&frameskip=3"
    )
    assert with_arguments("pong", {}) == "pong"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_envs:none", "`env` must read module:function or file.py:function of something that can be imported"),
        ("nowhere:easy", "ModuleNotFoundError"),
        ("my_envs:number", "which cannot be called"),
        ("my_envs:nothing", "`env` must make an environment with reset_env, step_env"),
        ("my_envs:easy?speed=2", "`arguments` of my_envs:easy must be some of frameskip; got speed"),
        ("pong?frameskip", "`env` must read NAME=VALUE; got 'frameskip'"),
        ("pang", "`env` must be one of"),
    ],
)
def test_what_is_no_environment_is_refused(folder, name, message):
    with pytest.raises(ValueError, match=message):
        make_env(name)
