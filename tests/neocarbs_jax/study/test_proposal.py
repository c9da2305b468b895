"""The next trial is a function of the ledger alone, whatever the memory holds."""

import dataclasses
import pickle
import subprocess
import sys

import numpy as np

from neocarbs_jax import sweep
from neocarbs_jax.proposal import Memory, propose
from neocarbs_jax.space import Linear, Log, SearchSpace

CONFIG = sweep.Config(
    SearchSpace(x=Linear(0, 1), steps=Log(1, 100)),
    capacity=64, num_candidates=64, num_refined=8, fit_steps=4, warp="linear",
)  # fmt: skip


def measured(trial, score=None):
    score = trial.values["x"] * np.log(trial.values["steps"]) if score is None else score
    return dataclasses.replace(trial, status="completed", score=score, cost=trial.values["steps"])


def test_memory_changes_nothing_and_spares_fits_between_checkpoints():
    memory, trials, fits = Memory(), [], []
    for number in range(36):
        trial = propose(CONFIG, trials, 0, memory)
        if number in (5, 33, 35):
            assert trial == propose(CONFIG, trials, 0)
        fits.append(int(memory._kept[0].count))
        trials.append(measured(trial))
    assert fits == [*range(33), 32, 32, 32]


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
    for _ in range(5):
        trials.append(measured(propose(CONFIG, trials, 0, memory)))
    again = pickle.loads(pickle.dumps(memory))
    assert propose(CONFIG, trials, 0, again) == propose(CONFIG, trials, 0, memory)


def test_every_linear_algebra_library_is_kept_on_one_thread():
    """In a fresh process, as libraries load when they are first called."""
    code = """
from threadpoolctl import ThreadpoolController
from neocarbs_jax import SearchSpace, Linear, sweep
from neocarbs_jax.proposal import _thread_pools, propose
config = sweep.Config(SearchSpace(x=Linear(0, 1)), capacity=8, num_candidates=8, fit_steps=1, warp="linear")
propose(config, [], 0)
with _thread_pools().limit(limits=1, user_api="blas"):
    pools = ThreadpoolController().select(user_api="blas").info()
assert pools, "no library found"
assert all(pool["num_threads"] == 1 for pool in pools), pools
"""
    subprocess.run([sys.executable, "-c", code], check=True)
