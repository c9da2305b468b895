"""Whatever an objective does, every row ends, and no measurement is lost."""

import contextlib
import datetime
import enum
import math
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.study import Study
from neocarbs_jax.study.results import plain, read_result

SPACE = SearchSpace(learning_rate=Log(1e-5, 1e-1), clip=Linear(0, 1))


@pytest.fixture
def study(tmp_path):
    return Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", strategy="random")


def run(study, *returned, num_trials=None):
    """Runs an objective that returns these, one after the other; exceptions are raised."""
    answers = iter(returned)

    def objective(values):
        answer = next(answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return study.run(objective, num_trials=num_trials or len(returned))


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ((math.nan, math.nan), "score is nan"),
        ((math.inf, 1.0), "score is inf"),
        ((1.0, 0.0), "cost is 0.0, and must be positive and finite"),
        ((1.0, -3.0), "cost is -3.0, and must be positive and finite"),
        ((1.0, math.inf), "cost is inf, and must be positive and finite"),
        ((1.0, None), "cost is nan, and must be positive and finite"),
        ((None, 1.0), "score is nan"),
        ((10**400, 1.0), "score is inf"),
        ((-(10**400), 1.0), "score is -inf"),
        ((np.float32("nan"), 1.0), "score is nan"),
    ],
)
def test_what_cannot_be_a_measurement_is_a_failed_trial_and_the_run_goes_on(study, returned, reason):
    trials = run(study, returned, (1.0, 2.0))
    assert [t.status for t in trials] == ["failed", "completed"]
    assert trials[0].reason == reason


@pytest.mark.parametrize(
    "returned",
    [
        (np.float32(1), np.int64(2)),
        (jnp.ones(()), jnp.full((1,), 2, jnp.int32)),
        np.array([1.0, 2.0]),
        [1, 2, None],
        (jnp.bfloat16(1), 2.0, {}),
    ],
)
def test_numbers_of_any_library_are_numbers(study, returned):
    [trial] = run(study, returned)
    assert (trial.status, trial.score, trial.cost) == ("completed", 1.0, 2.0)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (1.0, r"An objective must return \(score, cost\) or \(score, cost, attributes\); got 1.0"),
        (None, "An objective must return .*; got None"),
        ("ab", "An objective must return .*; got 'ab'"),
        ({"score": 1.0, "cost": 2.0}, "An objective must return .*; got {'score'"),
        ((1.0,), r"An objective must return .*; got \(1.0,\)"),
        ((1.0, 2.0, 3.0), "attributes being a dictionary; got 3.0"),
        (("good", 1.0), "`score` must be a number; got 'good'"),
        ((1.0, np.ones(2)), r"`cost` must be a number; got array"),
        ((np.complex64(1 + 5j), 1.0), "`score` must be a number; got np.complex64"),
        ((np.datetime64("2020"), 1.0), "`score` must be a number; got np.datetime64"),
        ((np.array(["3.5"])[0], 1.0), "`score` must be a number; got np.str_"),
        ((np.ma.masked, 1.0), "`score` must be a number; got masked"),
        (bytearray(b"ab"), "An objective must return .*; got bytearray"),
    ],
)
def test_an_error_of_the_program_ends_the_run_and_the_trial_is_taken_back(study, returned, message):
    with pytest.raises(TypeError, match=message):
        run(study, returned)
    [trial] = study.trials
    assert trial.status == "interrupted"
    assert message.split(";")[0][:9] in trial.reason
    assert [t.status for t in run(study, (1.0, 2.0))] == ["interrupted", "completed"]


class Colour(enum.Enum):
    RED = "red"


def test_attributes_become_json(study):
    attrs = {
        "acc": np.float32(0.5),
        "curve": jnp.arange(3),
        "loss": math.nan,
        "losses": [1.0, math.inf],
        "path": pathlib.Path("a/b"),
        "day": datetime.date(2020, 1, 2),
        "colour": Colour.RED,
        "seen": {2, 1},
        "half": jnp.ones(2, jnp.bfloat16),
        3: (1, None, True),
        "cost": "dear",
        "reason": "because",
        "worker": 7,
        "user:x": 1,
        "hour": np.datetime64("2020-01-02T03"),
        "names": np.array(["a", "b"]),
        "yes": np.bool_(True),
    }
    [trial] = run(study, (1.0, 2.0, attrs))
    assert trial.attrs == {
        "acc": 0.5,
        "curve": [0, 1, 2],
        "loss": None,
        "losses": [1.0, "inf"],
        "path": "a/b",
        "day": "2020-01-02",
        "colour": "red",
        "seen": [1, 2],
        "half": [1.0, 1.0],
        "3": [1, None, True],
        "cost": "dear",
        "reason": "because",
        "worker": 7,
        "user:x": 1,
        "hour": "2020-01-02T03",
        "names": ["a", "b"],
        "yes": True,
    }
    assert (trial.status, trial.score, trial.cost, trial.reason) == ("completed", 1.0, 2.0, None)


def test_an_attribute_without_json_form_is_left_out_after_the_measurement_was_kept(study):
    loop = []
    loop.append(loop)
    attrs = {"model": object(), "fine": 1, "loop": loop, "raw": b"x"}
    with pytest.warns(UserWarning, match="'model' is left out.*'loop' is left out.*'raw' is left out"):
        [trial] = run(study, (1.0, 2.0, attrs))
    assert trial.attrs == {"fine": 1}
    with pytest.raises(UserWarning, match="left out"):  # warnings are errors here
        run(study, (3.0, 4.0, attrs), num_trials=2)
    assert (study.trials[1].status, study.trials[1].score) == ("completed", 3.0)


def test_the_reason_of_a_failure_stands_beside_the_users_own(study):
    [trial] = run(study, (math.nan, 2.0, {"reason": "mine", "cost": 3}))
    assert (trial.status, trial.reason, trial.cost) == ("failed", "score is nan", 2.0)
    assert trial.attrs == {"reason": "mine", "cost": 3}


class Unprintable(FloatingPointError):
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FloatingPointError(), "FloatingPointError"),
        (Unprintable(), "Unprintable"),
        (FloatingPointError("\0\ud800"), "\0\ud800"),
    ],
)
def test_a_failure_of_the_configuration_is_recorded_whatever_it_says(study, error, reason):
    trials = run(study, error, (1.0, 1.0))
    assert [t.status for t in trials] == ["failed", "completed"]
    assert trials[0].reason == reason


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(3), MemoryError(), RuntimeError("CUDA out of memory"), GeneratorExit()]
)
def test_any_other_exception_takes_the_trial_back_and_is_raised(study, error):
    with pytest.raises(type(error)):
        run(study, error)
    assert [t.status for t in study.trials] == ["interrupted"]


def test_a_configuration_that_raises_twice_is_a_failed_one(study):
    for expected in (["interrupted"], ["interrupted", "failed"]):
        with pytest.raises(RuntimeError):
            run(study, RuntimeError("CUDA out of memory"), num_trials=9)
        assert [t.status for t in study.trials] == expected
    assert study.trials[0].values == study.trials[1].values
    assert study.trials[1].reason == "CUDA out of memory (twice at this point)"
    assert run(study, (1.0, 1.0), num_trials=2)[2].values != study.trials[0].values


def test_ctrl_c_any_number_of_times_says_nothing_about_a_configuration(study):
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(study, KeyboardInterrupt())
    assert [t.status for t in study.trials] == ["interrupted"] * 3
    assert len({str(t.values) for t in study.trials}) == 1


def test_a_callback_that_raises_leaves_no_row_running(study):
    def raises(trial):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        study.run(lambda values: (1.0, 1.0), num_trials=1, on_ask=raises)
    with pytest.raises(ValueError, match="mine"):
        study.run(lambda values: (1.0, 1.0), num_trials=1, on_tell=raises)
    assert [t.status for t in study.trials] == ["interrupted", "completed"]


def test_a_copy_of_the_process_that_an_objective_forked_ends_with_the_objective(study):
    def forks(values):
        for code in (0, 1):
            if os.fork() == 0:
                if code:
                    sys.exit(3)
                return 7.0, 7.0
            os.wait()
        return 1.0, 2.0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks while threads run
        trials = study.run(forks, num_trials=2)
    assert [(t.status, t.score) for t in trials] == [("completed", 1.0)] * 2


class Stubborn:
    def __str__(self):
        raise RuntimeError("no name")

    __repr__ = __str__


def test_attributes_that_cannot_even_be_named_lose_no_measurement(study):
    with pytest.warns(UserWarning, match="Attribute a Stubborn is left out"):
        [trial] = run(study, (1.0, 2.0, {Stubborn(): 1, "fine": 2, "complex": np.ones(2, np.complex64)}))
    assert (trial.status, trial.attrs) == ("completed", {"fine": 2})


def test_an_objective_that_hangs_is_a_failed_trial(study):
    def hangs(values):
        while len(study.trials) < 2:
            with contextlib.suppress(Exception):
                time.sleep(0.01)
        return 1.0, 1.0

    trials = study.run(hangs, num_trials=2, time_limit=0.2)
    assert [t.status for t in trials] == ["failed", "completed"]
    assert trials[0].reason == "it took longer than 0.2 seconds"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    signal.setitimer(signal.ITIMER_REAL, 1000)  # of the user's
    study.run(lambda values: (1.0, 1.0), num_trials=3, time_limit=0.2)
    assert 900 < signal.setitimer(signal.ITIMER_REAL, 0)[0] < 1000
    with pytest.raises(ValueError, match="`time_limit` must be positive; got 0"):
        study.run(hangs, num_trials=4, time_limit=0)
    refused = []

    def run_in_a_thread():
        with pytest.raises(ValueError, match="outside the main thread") as error:
            study.run(hangs, num_trials=4, time_limit=1)
        refused.append(error)

    thread = threading.Thread(target=run_in_a_thread)
    thread.start()
    thread.join()
    assert refused


def test_an_objective_may_change_its_values(study):
    study.run(lambda values: (values.pop("clip"), values.popitem()[1]), num_trials=1)
    assert set(study.trials[0].values) == {"clip", "learning_rate"}


def test_tell_takes_what_run_takes(study):
    first, second, third = study.ask(q=3)
    assert study.tell(first, np.float32(1.5), jnp.ones(()), note=np.arange(2)).attrs == {"note": [0, 1]}
    assert study.tell(second, math.nan, math.nan).status == "failed"
    with pytest.raises(TypeError, match="`score` must be a number; got 'high'"):
        study.tell(third, "high", 1.0)
    assert study.trials[2].status == "running"


def test_plain_values_stay_as_they_are():
    attrs = {"a": 1, "b": 2.5, "c": "x", "d": None, "e": True, "f": [1, {"g": "h"}]}
    assert plain(attrs) == (attrs, [])
    assert read_result((1, 2, attrs)).attrs == attrs


INTERRUPTED = """
    import os, signal, sys, threading, time
    from neocarbs_jax.space import Linear, SearchSpace
    from neocarbs_jax.study import Study, ask_tell as module, ledger
    import optuna

    place = sys.argv[2]
    study = Study.create(SearchSpace(x=Linear(0, 1)), sys.argv[1])
    study.run(lambda values: (values["x"], 1.0), num_trials=1)

    def interrupted(function):
        def wrapped(*args, **kwargs):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)  # the handler has run
            return function(*args, **kwargs)
        return wrapped

    objective = lambda values: (values["x"], 1.0)
    if place == "ask":
        ledger.enter = interrupted(ledger.enter)
    elif place == "suggest":
        module.propose = interrupted(module.propose)
    elif place == "tell":
        ledger.end = interrupted(ledger.end)
        ledger.end, original = None, ledger.end
        def once(*args):
            ledger.end = original.__closure__[0].cell_contents
            return original(*args)
        ledger.end = once
    else:
        objective = interrupted(objective)
    try:
        study.run(objective, num_trials=2)
    except KeyboardInterrupt:
        print(study.trials[1].status)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "status"),
    [("ask", "interrupted"), ("suggest", "interrupted"), ("objective", "interrupted"), ("tell", "completed")],
)
def test_ctrl_c_anywhere_leaves_no_row_running(tmp_path, place, status):
    script = tmp_path / "interrupted.py"
    script.write_text(textwrap.dedent(INTERRUPTED))
    command = [sys.executable, script, f"sqlite:///{tmp_path}/sweep.db", place]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == f"{status}\n", done.stderr
    assert done.returncode == 0


KILLER = """
    import os, sys
    from neocarbs_jax.space import Linear, SearchSpace
    from neocarbs_jax.study import Study

    study = Study.create(SearchSpace(x=Linear(0, 1)), sys.argv[1], strategy="random")
    study.run(lambda values: os._exit(9) if values["x"] == 0.5 else (values["x"], 1.0), num_trials=3)
"""


def test_a_configuration_that_kills_its_worker_is_tried_twice(tmp_path):
    script, storage = tmp_path / "killer.py", f"sqlite:///{tmp_path}/sweep.db"
    script.write_text(textwrap.dedent(KILLER))
    codes = [subprocess.run([sys.executable, script, storage], timeout=120).returncode for _ in range(3)]
    assert codes == [9, 9, 0]
    trials = Study.load(storage).trials
    assert [t.status for t in trials] == ["interrupted", "failed", "completed", "completed"]
    assert trials[1].reason == "its worker died (twice at this point)"
