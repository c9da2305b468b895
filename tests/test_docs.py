"""What the pages say to type works: Python blocks run, names in them are defined, and command lines parse."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from experiments import environment_list, evaluate, gallery, settings, sweep, sweep_setup, train, watch
from experiments.common import read
from experiments.environments import constructor_arguments
from neocarbs_jax import cli

ROOT = Path(__file__).resolve().parents[1]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = {
    "train": train.Train,
    "eval": evaluate.Eval,
    "watch": watch.Watch,
    "gallery": gallery.Gallery,
    "envs": environment_list.Envs,
    "sweep": sweep.Sweep,
}
NEOCARBS = cli.COMMANDS
SHORTER = {
    "total_steps=1e6": "total_steps=2e4",
    "total_steps=1e5": "total_steps=2e4",
    "LEARNING_RATE = 500, 2, 4,": "LEARNING_RATE = 4, 2, 4,",
    "num_trials=50": "num_trials=8",
    "num_trials=30": "num_trials=8",
}
"""Budgets that are long enough for a test; the code is the same."""

EXTRAS = ("ray",)
"""Packages that a block may need and the development environment may lack."""


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    """Code blocks of a page, each with the number of its first line."""
    text = page.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text[: block.start(1)].count("\n") + 1, block.group(1)) for block in found]


def programs(page):
    """Blocks that run by themselves; an indented one stands for marked lines of another."""
    return [(line, code) for line, code in blocks(page, "python") if not code.startswith(" ")]


def needs_missing_extra(code):
    return any(
        f"import {name}" in code or f"from {name}" in code for name in EXTRAS if not importlib.util.find_spec(name)
    )


RUNNER = """
import sys
from pathlib import Path
namespace = {"__name__": "__main__"}
parts, sys.argv = sys.argv[1:], sys.argv[:1]
for part in parts:
    exec(compile(Path(part).read_text(), part, "exec"), namespace)
"""


def run(folder, parts):
    """Run programs one after the other, in one namespace of a process of its own."""
    files = []
    for name, code in parts.items():
        files.append(folder / f"{name}.py")
        for long, short in SHORTER.items():
            code = code.replace(long, short)
        files[-1].write_text(code)
    work = folder / "work"
    work.mkdir()
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", RUNNER, *map(str, files)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=work, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("page", [page for page in GUIDES if programs(page)], ids=name_of)
def test_every_name_in_a_page_is_defined_on_it(page):
    code = "\n".join(code for _, code in programs(page))
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,F822,F823,E9", "-"]
    done = subprocess.run(command, input=code, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in GUIDES if programs(page)], ids=name_of)
def test_the_python_of_a_page_runs(page, tmp_path):
    run(tmp_path, {f"line{line}": code for line, code in programs(page) if not needs_missing_extra(code)})


@pytest.mark.slow
def test_the_loop_of_your_own_runs_as_ppo_with_its_marked_lines_replaced(tmp_path):
    page = ROOT / "docs" / "guide" / "embed.md"
    [(_, loop), *_] = programs(page)
    changes = [code for _, code in blocks(page, "python") if code.startswith(" ")]
    assert len(changes) == 3
    for number, change in enumerate(changes, 1):
        marked = rf"^[^\n]*# {number}\. [^\n]*\n.*?(?=^\s*return )"
        loop, count = re.subn(marked, lambda _, change=change: change, loop, count=1, flags=re.MULTILINE | re.DOTALL)
        assert count == 1
    assert "p3o_advantage(" not in loop.partition("class ActorCritic")[2]
    run(tmp_path, {"ppo": loop})


def shell_lines():
    """Command lines of the pages and of the modules' own help, each with where it stands."""
    for page in PAGES:
        for line, code in blocks(page, "sh"):
            for command in code.replace("\\\n", " ").splitlines():
                yield f"{name_of(page)}:{line}", command
        prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for command in re.findall(r"`((?:p3o|neocarbs)\s[a-z]+\s[^`]*)`", prose):
            yield name_of(page), " ".join(command.split())
    for module in (train, evaluate, watch, sweep):
        for command in re.findall(r"^\s*(p3o .*)$", module.__doc__ or "", re.MULTILINE):
            yield module.__name__, command


def ours():
    for place, command in shell_lines():
        words = shlex.split(command, comments=True)
        if "..." in command:  # a pattern
            continue
        if words[:1] in (["p3o"], ["neocarbs"]) or words[:3] == ["python", "-m", "experiments.sweep"]:
            yield pytest.param(words if words[0] != "python" else ["p3o", "sweep", *words[3:]], id=f"{place} {command}")


@pytest.mark.parametrize("words", list(ours()))
def test_a_command_line_of_the_pages_parses(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_envs.py").write_text("from envs.pong import Pong as easy\n")  # that the pages speak of
    program, command, *options = [word for word in words if word != "--help"]
    if (program, command) == ("neocarbs", "--completion"):
        cli.main([command, options[0]])
        return
    if program == "neocarbs":
        tyro.cli(NEOCARBS, args=[command, *options])
        return
    args = read(COMMANDS[command], "p3o", None, options)
    settings.assignments(getattr(args, "set", ()))
    if command == "sweep":
        sweep_setup.space_of(args)
    if command == "watch":
        constructor_arguments(args.arguments)


def test_make_has_the_targets_that_the_pages_name():
    targets = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {words[1] for _, line in shell_lines() if (words := shlex.split(line, comments=True))[:1] == ["make"]}
    assert named <= targets


def test_pages_have_blocks_and_commands_to_check():
    assert sum(len(programs(page)) for page in GUIDES) > 15
    assert len(list(ours())) > 10
