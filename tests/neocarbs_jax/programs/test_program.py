"""Programs as objectives: what each way to end makes of the trial, limits, and nothing left running."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from neocarbs_jax import Log, SearchSpace, Study
from neocarbs_jax.programs import BrokenProgram, Program, Reading
from neocarbs_jax.programs.process import resident_bytes
from neocarbs_jax.study import Trial


@pytest.fixture
def program(tmp_path):
    """A Python program with a body, as an objective."""

    def program(body, **options):
        (tmp_path / "it.py").write_text("import json, os, sys, time\n" + textwrap.dedent(body))
        return Program(f"{sys.executable} {tmp_path / 'it.py'} {{x}}", tmp_path / "trials", **options)

    return program


def run(objective, number=0, **values):
    values = values or {"x": 2.0}
    return objective(values, Trial(number, values, "running"))


def test_a_program_is_run_with_the_values_and_read(program, tmp_path):
    objective = program('print(json.dumps({"score": float(sys.argv[1]), "cost": 4, "at": os.getcwd()}))')
    score, cost, attrs = run(objective, 3, x=0.25)
    assert (score, cost) == (0.25, 4.0)
    assert attrs["at"] == os.getcwd()
    folder = tmp_path / "trials" / "00003"
    assert json.loads((folder / "values.json").read_text()) == {"x": 0.25}
    assert "0.25" in (folder / "output.txt").read_text()
    assert attrs["folder"] == str(folder)


def test_the_environment_names_the_trial(program):
    objective = program(
        """
        names = ["TRIAL", "REPLICATE", "FOLDER", "VALUE_X"]
        open(os.path.join(os.environ["NEOCARBS_FOLDER"], "out.json"), "w").write(
            json.dumps({"score": json.loads(os.environ["NEOCARBS_VALUES"])["x"],
                        "told": [os.environ["NEOCARBS_" + n] for n in names]}))
        """,
        reading=Reading(file="out.json"),
    )
    score, _, attrs = run(objective, 5, x=0.5)
    assert score == 0.5
    assert attrs["told"][:2] == ["5", "0"]
    assert attrs["told"][3] == "0.5"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ValueError('diverged')", "it ended with code 1: ValueError: diverged"),
        ("sys.exit(9)", "it ended with code 9"),
        ("os.kill(os.getpid(), 9)", "it was killed by signal 9"),
    ],
)
def test_a_failed_configuration_says_why_and_what_it_cost(program, body, says):
    score, cost, attrs = run(program(body))
    assert score != score  # NaN
    assert cost > 0
    assert attrs["reason"] == says


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("sys.exit('usage: it') if False else (print('usage: it', file=sys.stderr), sys.exit(2))", "code 2.*usage: it"),
        ("print('hello')", "ended well, but no line of its output is a JSON object.*hello"),
    ],
)
def test_a_broken_program_is_told_from_a_failed_configuration(program, body, says):
    with pytest.raises(BrokenProgram, match=f"(?s){says}"):
        run(program(body))


def test_a_program_that_is_not_there_is_broken(tmp_path):
    with pytest.raises(BrokenProgram, match=r"no-such-program cannot be started \(No such file or directory\)"):
        run(Program("no-such-program {x}", tmp_path))


def test_three_failures_in_a_row_before_any_success_are_a_broken_program(program):
    objective = program("raise ValueError('typo')")
    for _ in range(2):
        assert "typo" in run(objective)[2]["reason"]
    with pytest.raises(BrokenProgram, match=r"(?s)failed 3 times in a row.*ValueError: typo"):
        run(objective)


def test_after_a_success_failures_are_failures(program):
    objective = program("print('{\"score\": 1}') if sys.argv[1] == '1.0' else sys.exit(1)")
    run(objective, x=1.0)
    assert [run(objective, x=2.0)[2]["reason"] for _ in range(4)] == ["it ended with code 1"] * 4


def test_a_program_that_somebody_stopped_is_no_failure(program):
    with pytest.raises(KeyboardInterrupt):
        run(program("os.kill(os.getpid(), 15)"))


SLEEPER = "import time\nprint('child', flush=True)\ntime.sleep(60)\n"


def group_is_gone(folder):
    """Whether no process has the folder's program in its command line any more."""
    listing = subprocess.run(["ps", "-eo", "stat,args"], capture_output=True, text=True, check=True).stdout
    return not [line for line in listing.splitlines() if str(folder) in line and line[0] != "Z"]


def test_a_time_limit_ends_the_whole_group(program, tmp_path):
    (tmp_path / "child.py").write_text(SLEEPER)
    body = f"import subprocess\nsubprocess.Popen([sys.executable, '{tmp_path}/child.py'])\ntime.sleep(60)"
    score, cost, attrs = run(program(body, time_limit=1.0))
    assert score != score
    assert 1.0 <= cost < 60  # what the program would have taken
    assert attrs["reason"] == "it exceeded its time limit of 1"
    assert group_is_gone(tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_a_memory_limit_ends_it(program):
    score, _, attrs = run(program("x = bytearray(400_000_000)\ntime.sleep(60)", memory_limit=2e8))
    assert score != score
    assert attrs["reason"] == "it exceeded its memory limit of 2e+08"
    assert resident_bytes(os.getpgid(0)) > 0


def test_ctrl_c_ends_the_program_and_takes_the_trial_back(program, tmp_path):
    objective = program("print('here', flush=True)\ntime.sleep(60)")
    study = Study.create(SearchSpace(x=Log(1, 10)), f"sqlite:///{tmp_path}/a.db", name="a")

    def press():
        output = tmp_path / "trials" / "00000" / "output.txt"
        while not (output.exists() and "here" in output.read_text()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        study.run(objective, num_trials=1)
    assert [trial.status for trial in study.trials] == ["interrupted"]
    assert group_is_gone(tmp_path / "it.py")


@pytest.mark.parametrize(("name", "value"), [("time_limit", 0.0), ("memory_limit", -1.0), ("time_limit", float("nan"))])
def test_limits_that_cannot_be_are_refused(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be positive and finite"):
        Program("run", tmp_path, **{name: value})
