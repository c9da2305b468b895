"""docs/guide/embed.md: the loop runs as it stands, is short, and becomes PPO by the three places that the page says."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "embed.md"
SMALL = {"NUM_ENVS": 4, "NUM_STEPS": 8, "HORIZON": 4, "NUM_UPDATES": 2, "NUM_EPOCHS": 1, "NUM_MINIBATCHES": 2}


def blocks():
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def as_ppo(loop, places):
    """The loop with the lines of each marked place exchanged."""
    for place in places:
        number = re.search(r"# (\d)\.", place).group(1)
        pattern = rf"^[^\n]*# {number}\. [^\n]*\n" if number == "1" else rf"^ *# {number}\. .*?(?=^ *return)"
        loop, count = re.subn(pattern, lambda _, new=place: new, loop, flags=re.DOTALL | re.MULTILINE)
        assert count == 1
    return loop


@pytest.mark.parametrize("algorithm", ["p3o", pytest.param("ppo", marks=pytest.mark.slow)])
def test_the_page_runs(algorithm):
    loop, *places = blocks()
    assert len(loop.splitlines()) < 150
    assert len(places) == 3
    scope = {"__name__": "embedded"}
    exec(compile(loop if algorithm == "p3o" else as_ppo(loop, places), str(PAGE), "exec"), scope)
    scope.update(SMALL)
    with jax.numpy_dtype_promotion("standard"):  # optax raises decay rates to integer powers
        _, rewards = jax.jit(scope["train"])(jax.random.key(0))
    assert np.isfinite(rewards).all()
