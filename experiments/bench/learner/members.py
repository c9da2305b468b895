"""Trainings of a sweep at once against one by one: trials per minute.

    python -m experiments.bench.learner.members              # 16 at once, small networks on CartPole
    python -m experiments.bench.learner.members --size 256   # for a GPU

Both ways train and evaluate the same trials, after compilation. Their budgets differ by up to a factor of four.
"""

import dataclasses
import statistics

import numpy as np
import tyro

from experiments.bench import harness
from experiments.environments import make_env
from experiments.members import Members
from experiments.objective import Training
from neocarbs_jax.space import Log, SearchSpace
from neocarbs_jax.study import Trial
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import Config, Params

SPACE = SearchSpace(total_steps=Log(5e4, 2e5), learning_rate=Log(1e-3, 1e-2), entropy=Log(1e-3, 1e-1))


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes:
        env: environment.
        size: trials at once.
        num_envs: environments of each.
        width: of the networks.
        rounds: timed rounds of each way.
        name: file name of the result.
    """

    env: str = "gymnax:CartPole-v1"
    size: int = 16
    num_envs: int = 8
    width: int = 32
    rounds: int = 5
    name: str = "members"


def main(settings: Settings) -> None:
    """Time both ways in turns and write the table."""
    network = NetworkConfig(width=settings.width)
    config = Config(num_envs=settings.num_envs, segment_length=32, num_minibatches=4, horizon=16, network=network)
    training = Training(make_env(settings.env), config, Params(), env_name=settings.env, num_episodes=32)
    members = Members(training, settings.size)
    rng = np.random.default_rng(0)
    trials = [Trial(i, SPACE.from_unit(rng.uniform(size=SPACE.size)), "running") for i in range(settings.size)]
    calls = {
        "one by one": lambda index: [training(trial.values, trial) for trial in trials],
        "at once": lambda index: members(trials),
    }
    times = {name: timing.wall for name, timing in harness.time_in_turns(calls, settings.rounds).items()}
    per_minute = {name: [60 * settings.size / second for second in seconds] for name, seconds in times.items()}
    ratios = list(times["one by one"] / times["at once"])
    rows = [(name, *(f"{value:.1f}" for value in _spread(values))) for name, values in per_minute.items()]
    page = harness.page(
        "Trainings of a sweep at once, against one by one",
        harness.stamp("flax", "gymnax"),
        f"{settings.size} trainings of {settings.env}, {settings.num_envs} environments, two layers of "
        f"{settings.width}, 5e4 to 2e5 steps, with their evaluation; {settings.rounds} rounds of each in turns.",
        harness.table(["way", "trials per minute, median", "lowest", "highest"], rows),
        "At once is faster by a factor of {:.2f} (median of rounds; {:.2f} to {:.2f}).".format(*_spread(ratios)),
    )
    harness.write_text(harness.RESULTS / f"{settings.name}.md", page)
    print(page)


def _spread(values: list[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
