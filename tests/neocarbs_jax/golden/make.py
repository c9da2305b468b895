"""Write the golden files: a stored ledger, and the suggestion of each strategy that follows it.

    .venv/bin/python tests/neocarbs_jax/golden/make.py

Run it when a change of the tuner is meant to change what it suggests, and say so in the change's description.
`test_golden.py` replays the files.
"""

import json
from pathlib import Path

import jax
import numpy as np

from neocarbs_jax import space as spaces
from neocarbs_jax import sweep
from neocarbs_jax.space import Choice, Integer, Linear, Log, Logit, SearchSpace
from neocarbs_jax.strategies import STRATEGIES
from neocarbs_jax.sweep import Status

FOLDER = Path(__file__).parent
SPACE = SearchSpace(
    learning_rate=Log(1e-5, 1e-1),
    gamma=Logit(0.8, 0.9999),
    width=Linear(0.0, 1.0),
    epochs=Integer(1, 8),
    optimizer=Choice(("adam", "muon")),
)
CAPACITY, SEED = 16, 8  # the steps of the climb from 7 hang on rounding


def ledger():
    """Fourteen trials: ten that ended well, one of them a replicate; one failed, one abandoned, two still running."""
    rng = np.random.default_rng(0)
    unit = np.stack([SPACE.to_unit(SPACE.from_unit(row)) for row in rng.random((14, SPACE.size))])
    unit[9] = unit[4]
    status = np.full(14, int(Status.SUCCESS))
    status[[2, 7]] = Status.FAILED, Status.ABANDONED
    status[12:] = Status.PENDING
    cost = np.exp(4 * unit[:, 3] + 0.1 * rng.normal(size=14))
    score = np.exp(-((4 * (unit[:, 0] - 0.5)) ** 2)) * np.log1p(cost) + 0.05 * rng.normal(size=14)
    done = status == Status.SUCCESS
    return {
        "unit": unit.tolist(),
        "score": np.where(done, score, 0.0).round(6).tolist(),
        "cost": np.where(done, cost, 1.0).round(6).tolist(),
        "status": status.tolist(),
    }


def follow(stored, suggest=sweep.suggest):
    """The suggestion that follows a stored ledger, by the pure core, in double precision."""
    space = spaces.from_dict(stored["space"])
    config = sweep.Config(space, stored["capacity"], stored["strategy"])
    with jax.enable_x64(True):
        rows = (np.asarray(stored["ledger"][name]) for name in ("unit", "score", "cost", "status"))
        state = sweep.restore(config, *rows)
        key = jax.random.fold_in(jax.random.key(stored["seed"]), state.count)
        _, suggestion = suggest(config, state, key)
        names = ("unit", "predicted_score", "predicted_score_std", "predicted_cost", "predicted_cost_std", "rating")
        return {name: np.asarray(getattr(suggestion, name)).tolist() for name in names}


def main():
    suggest = jax.jit(sweep.suggest, static_argnums=0)
    for name in STRATEGIES:
        stored = {"strategy": name, "seed": SEED, "capacity": CAPACITY, "space": spaces.to_dict(SPACE)}
        stored["ledger"] = ledger()
        stored["suggestion"] = {
            field: None if value != value else value for field, value in follow(stored, suggest).items()
        }
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
