"""The next trial is a function of the ledger alone: whatever the memory holds, and by whichever way it is computed."""

import dataclasses
import pickle
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest

from neocarbs_jax import strategies, sweep
from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.study import programs
from neocarbs_jax.study.ledger import PREDICTIONS, Trial
from neocarbs_jax.study.proposal import propose
from neocarbs_jax.study.rows import Memory, compile_ahead
from neocarbs_jax.sweep import Status

SPACE = SearchSpace(x=Linear(0, 1), steps=Log(1, 100))
QUICK = strategies.NeoCARBS(num_candidates=64, num_refined=8)
CONFIG = sweep.Config(SPACE, capacity=64, strategy=QUICK, warp="linear")
SHIPPED = programs._QUICKLY  # before the tests' own, hastier way
SMALL = dataclasses.replace(CONFIG, capacity=32)


def measured(trial, score=None):
    score = trial.values["x"] * np.log(trial.values["steps"]) if score is None else score
    return dataclasses.replace(trial, status="completed", score=score, cost=trial.values["steps"])


def history(num):
    """Trials at random points, of which some failed, one still runs and one has no values yet."""
    units = np.random.default_rng(0).random((num, SPACE.size))
    trials = [measured(Trial(i, SPACE.from_unit(unit), "running")) for i, unit in enumerate(units)]
    for i in range(7, num, 10):
        trials[i] = dataclasses.replace(trials[i], status="failed", score=None, reason="diverged")
    trials[-1] = dataclasses.replace(trials[-1], status="running", score=None, cost=None)
    trials[-2] = dataclasses.replace(trials[-2], status="running", score=None, cost=None, values={})
    return trials


def by_the_core(config, trials, seed, suggest):
    """The same by `sweep.restore` and `sweep.suggest`, without the host's programs, buckets and memory."""
    n = len(trials)
    config = dataclasses.replace(config, capacity=max(config.capacity, 1 << n.bit_length()))
    names = {"completed": Status.SUCCESS, "failed": Status.FAILED, "running": Status.PENDING}
    unit = [SPACE.to_unit(t.values) if t.values else SPACE.center for t in trials]
    status = [int(names[t.status] if t.values else Status.ABANDONED) for t in trials]
    score, cost = (np.array([getattr(t, name) for t in trials], float) for name in ("score", "cost"))
    with jax.enable_x64(True):
        state = sweep.restore(config, unit, score, cost, status)
        suggestion = suggest(config, state, jax.random.fold_in(jax.random.key(seed), n))[1]
        return jax.tree.map(np.asarray, suggestion._replace(values=SPACE.from_unit(np.asarray(suggestion.unit))))


@pytest.fixture
def recorder(monkeypatch):
    """In place of the programs: what was asked for, compiled by nobody."""

    class Recorder(programs.Programs):
        def __init__(self):
            super().__init__()
            self.got, self.queued = [], []

        def get(self, key, make):
            self.got.append(key[0])
            return super().get(key, make)

        def ahead(self, key, make):
            self.queued.append((key[0], key[-1]))

    recorder = Recorder()
    monkeypatch.setattr(programs, "_PROGRAMS", recorder)
    return recorder


@pytest.fixture
def compilations():
    """Programs that XLA compiles for the test, and not in the background for a study of an earlier one."""
    jax.clear_caches()  # whatever earlier tests compiled
    seen, here = [], threading.get_ident()

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration" and threading.get_ident() == here:
            seen.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("strategy", [strategies.NeoCARBS(), strategies.CARBS(), strategies.Random()])
def test_the_first_trial_is_the_centre_and_compiles_nothing(strategy, recorder, compilations):
    config = sweep.Config(SearchSpace(x=Linear(0, 1), steps=Log(1, 10_000), z=Linear(-1, 3)), 128, strategy)
    trial = propose(config, [], 0)
    assert trial.values == {"x": 0.5, "steps": pytest.approx(100.0), "z": 1.0}
    assert (trial.status, trial.number, trial.predicted_score, trial.rating) == ("running", 0, None, None)
    assert compilations == []
    assert recorder.got == []
    # Meanwhile, what comes after the initial design.
    expected = [("proposal", config), ("fit", 64)] if strategy.uses_surrogates else []
    assert recorder.queued == expected


def test_the_initial_design_needs_no_surrogates(recorder):
    trials = []
    for _ in range(4):
        trials.append(measured(propose(CONFIG, trials, 0)))
    assert recorder.got == ["initial"] * 3
    assert len({t.values["x"] for t in trials}) == 4
    assert all(t.predicted_score is None for t in trials)


def test_what_is_needed_next_is_compiled_ahead(recorder):
    def ahead(n):
        recorder.queued.clear()
        config = dataclasses.replace(CONFIG, capacity=max(128, 1 << n.bit_length()))
        compile_ahead(config, n)
        return [(kind, last if kind == "fit" else last.capacity) for kind, last in recorder.queued]

    assert ahead(1) == [("proposal", 128), ("fit", 64)]
    assert ahead(32) == [("proposal", 128), ("fit", 64), ("fit", 128)]
    assert ahead(64) == [("proposal", 128), ("fit", 64), ("fit", 128), ("proposal", 256)]
    assert set(ahead(130)) == {("proposal", 256), ("fit", 128)}
    assert set(ahead(192)) == {("proposal", 256), ("fit", 128), ("proposal", 512)}


@pytest.fixture
def _as_shipped(monkeypatch, as_shipped):
    """Programs are compiled as users have them. A fit steps by signs, so that the rounding of another one may grow."""
    monkeypatch.setattr(programs, "_QUICKLY", SHIPPED)
    programs.forget()
    yield
    programs.forget()


@pytest.mark.usefixtures("_as_shipped")
@pytest.mark.parametrize("counts", [(12, 31), pytest.param((31, 32, 35, 36, 38), marks=pytest.mark.slow)])
def test_the_hosts_way_gives_what_the_pure_core_gives(counts, suggest):
    """Before and after the buffer doubles, at checkpoints and between them; the memory knows the one before."""
    memory = Memory()
    for n in counts:
        trials = history(n)
        trial = propose(SMALL, trials, 5, memory)
        expected = by_the_core(SMALL, trials, 5, suggest)
        # Double precision, two compilations of one program.
        for name, value in trial.values.items():
            assert value == pytest.approx(expected.values[name], rel=1e-6), (n, name)
        for name in PREDICTIONS:
            assert getattr(trial, name) == pytest.approx(float(getattr(expected, name)), rel=1e-5), (n, name)
        assert trial.number == n


def test_memory_changes_nothing_and_spares_fits_between_checkpoints():
    memory, trials, fits = Memory(), [], []
    for number in range(36):
        trial = propose(CONFIG, trials, 0, memory)
        if number in (9, 33, 35):
            assert trial == propose(CONFIG, trials, 0)
        fits.append(int(memory._kept[0].count) if memory._kept else 0)
        trials.append(measured(trial))
    assert fits == [*[0] * 8, *range(8, 33), 32, 32, 32]


def test_memory_is_of_no_use_once_an_earlier_row_changed():
    memory = Memory()
    trials = [dataclasses.replace(propose(CONFIG, [], 0), number=0)]
    for number in range(1, 6):
        trials.append(dataclasses.replace(measured(propose(CONFIG, trials, 0, memory)), number=number))
    trials = [measured(trials[0], score=5.0), *trials[1:]]  # the first one was still running
    propose(CONFIG, trials[:-1], 0, memory)
    assert propose(CONFIG, trials, 0, memory) == propose(CONFIG, trials, 0)
    changed = [measured(trials[0], score=-5.0), *trials[1:]]
    assert propose(CONFIG, changed, 0, memory) == propose(CONFIG, changed, 0)


def test_a_pickled_memory_is_as_good():
    memory, trials = Memory(), []
    for _ in range(6):
        trials.append(measured(propose(CONFIG, trials, 0, memory)))
    again = pickle.loads(pickle.dumps(memory))
    assert again.recall(np.zeros((6, 5))) is None
    assert propose(CONFIG, trials, 0, again) == propose(CONFIG, trials, 0, memory)


def test_a_failure_or_a_limit_on_cost_ends_the_initial_design_of_draws(recorder):
    trials = [measured(propose(CONFIG, [], 0))]
    recorder.got.clear()
    failed = [dataclasses.replace(trials[0], status="failed", score=None)]
    for config, rows in ((CONFIG, failed), (dataclasses.replace(CONFIG, trial_cap=50.0), trials)):
        with pytest.raises(Stop):
            stopping(recorder, propose, config, rows, 0)
        assert recorder.got == ["fit"]
        recorder.got.clear()


class Stop(Exception):
    """Instead of a compilation."""


def stopping(recorder, function, *arguments):
    def stop(key, make):
        recorder.got.append(key[0])
        raise Stop

    recorder.get = stop
    return function(*arguments)


def test_every_linear_algebra_library_is_kept_on_one_thread():
    """In a fresh process, as libraries load when they are first called."""
    code = """
from threadpoolctl import ThreadpoolController
from neocarbs_jax import SearchSpace, Linear, strategies, sweep
from neocarbs_jax.study.proposal import _thread_pools, propose
propose(sweep.Config(SearchSpace(x=Linear(0, 1)), capacity=8, strategy="random"), [], 0)
with _thread_pools().limit(limits=1, user_api="blas"):
    pools = ThreadpoolController().select(user_api="blas").info()
assert pools, "no library found"
assert all(pool["num_threads"] == 1 for pool in pools), pools
"""
    subprocess.run([sys.executable, "-c", code], check=True)
