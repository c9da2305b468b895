"""What each strategy suggested after a stored ledger, it still suggests: silent changes of the tuner show here.

A change that is meant runs `make.py` again.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from neocarbs_jax.strategies import STRATEGIES

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("golden_make", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stored(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_every_strategy_has_a_golden_file_and_every_file_a_strategy():
    assert {path.stem for path in FOLDER.glob("*.json")} == {*STRATEGIES}


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_the_ledger_is_the_one_of_the_script(name, make):
    golden = stored(name)
    assert golden["ledger"]["status"] == make.ledger()["status"]
    for column in ("unit", "score", "cost"):
        # Exponentials of NumPy differ in their last digit between machines.
        np.testing.assert_allclose(golden["ledger"][column], make.ledger()[column], rtol=1e-12, atol=2e-6)


@pytest.mark.parametrize(
    "name", [name if name == "neocarbs" else pytest.param(name, marks=pytest.mark.slow) for name in STRATEGIES]
)
def test_the_suggestion_that_follows_is_the_stored_one(name, make, suggest):
    golden = stored(name)
    follows = make.follow(golden, suggest)
    for field, expected in golden["suggestion"].items():
        if not STRATEGIES[name].uses_surrogates:
            # No surrogates: draws in single precision, the same everywhere.
            np.testing.assert_array_equal(follows[field], np.nan if expected is None else expected, err_msg=field)
        else:
            # Double precision; compilers and processors order sums differently, which the steps of a fit magnify.
            np.testing.assert_allclose(follows[field], expected, rtol=1e-6, atol=1e-9, err_msg=field)
