"""What `evidence` measures in a batch, against the truth: the same signal over hundreds of batches of one policy.

    python -m experiments.bench.learner.evidence_truth

A training with nine bands stops after half its budget. Its policy and its predictions stay as they are while batches
are collected. The gradients of all of them together tell the true ratio of signal to noise of each band, with an error
some hundred times smaller than that of one batch. A second truth has Monte Carlo errors (tau = 0) in place of the
learner's. Where the two gradients do not agree, the difference is not what the action changes but the bias of
bootstrapping.

Beside the truth stand the ratios that single batches were measured to have, and what the sequential test makes of
`UPDATES` batches in a row from even odds. Ratios are those of 8192 samples, whatever the number of environments.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray
from rich.console import Console

from envs import registry
from envs.environment import Environment
from experiments.bench import harness
from experiments.bench.learner.probes import PROBES
from experiments.bench.learner.runs import TASKS, config_of
from experiments.common import user_errors
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax import learner
from p3o_jax.estimators import Outcome
from p3o_jax.estimators.banded import Banded
from p3o_jax.networks import Memories
from p3o_jax.normalize import scale_rewards
from p3o_jax.ops.evidence import (
    RATIO,
    REFERENCE,
    Evidence,
    Score,
    init_evidence,
    num_parts,
    part_gradients,
    signal_to_noise,
    update_evidence,
)
from p3o_jax.predictions import predict, score_of_actions
from p3o_jax.rollout import Actor, Position, collect, make_actor, observe
from p3o_jax.settings import Config, Params
from p3o_jax.train import advance

Carry = tuple[Position, Evidence]

BANDS = 9
UPDATES = 16
"""Batches that a verdict is made of."""

SEEN = 0.1
"""True ratio below which its direction is noise, so that the agreement says nothing."""


@dataclasses.dataclass
class Args:
    """Hold what evidence measures against the truth."""

    tasks: tuple[str, ...] = ("bandit", "delay", "catch", "asterix")
    """Names of probes and of tasks."""
    num_envs: tuple[int, ...] = (16, 64, 512)
    """Environments of a batch of 128 steps."""
    max_steps: float = 3e5
    """Budget of a training, of which half is used, or the task's own where that is less."""
    batches: int = 128
    """Of 64 environments; as many samples for other numbers, and at least `UPDATES` batches."""
    seed: int = 0
    """Of the training."""
    out: Path = harness.RESULTS / "probes" / "truth.md"
    """Table."""

    def __post_init__(self) -> None:
        if unknown := {*self.tasks} - {*PROBES, *TASKS}:
            names = ", ".join([*PROBES, *TASKS])
            raise ValueError(f"`tasks` must be among {names}; got {', '.join(sorted(unknown))}.")
        if self.batches < 1:
            raise ValueError(f"`batches` must be at least 1; got {self.batches}.")


class Batch(NamedTuple):
    """The gradient of each part of a batch by each band, and what update by update the rule reads.

    Attributes:
        gradients: With the learner's errors.
        unbiased: With Monte Carlo errors.
        errors: The learner's errors.
        score: Gradient of the log probabilities.
    """

    gradients: Float[Array, "g k d"]
    unbiased: Float[Array, "g k d"]
    errors: Float[Array, "t b k"]
    score: Score


class Found(NamedTuple):
    """Ratios of signal to noise of 8192 samples, one for each band.

    Attributes:
        true: Over all batches together.
        unbiased: The same with Monte Carlo errors.
        agreement: Product of the two true gradients, over the square of the first: 1 without a bias.
        mean: Of what single batches were measured to have.
        deviation: Standard deviation of these.
        error: Standard error that the rule takes them to have, root mean square.
        counts: Share of sequences of `UPDATES` batches after which the band is taken to count.
    """

    true: Float[np.ndarray, " k"]
    unbiased: Float[np.ndarray, " k"]
    agreement: Float[np.ndarray, " k"]
    mean: Float[np.ndarray, " k"]
    deviation: Float[np.ndarray, " k"]
    error: Float[np.ndarray, " k"]
    counts: Float[np.ndarray, " k"]


def collect_batch(
    config: Config, estimator: Banded, actor: Actor, state: learner.State, position: Position, key: PRNGKeyArray
) -> tuple[Position, Batch]:
    """Return the position after one more segment, and what it says; nothing is trained."""
    env_params = actor.environments.env.default_params
    end, segment, _ = collect(
        actor, state.trainable, state.obs_moments, position, key, env_params, config.segment_length
    )
    done = segment.terminated | segment.truncated
    rewards, _ = scale_rewards(state.reward_scaler, segment.reward, done, config.scale, Params().gamma, segment.valid)
    outcome = Outcome(rewards, segment.terminated, segment.truncated, segment.valid)
    obs, memories = observe(state.obs_moments, segment.obs), Memories(position.policy_memory, state.value_memory)
    predictions, _ = predict(config, actor, state.trainable, state.obs_moments, segment, obs, end, memories)
    score = score_of_actions(config, actor, state.trainable, segment, obs, memories.policy)

    def errors(params: Params) -> Float[Array, "t b k"]:
        estimate = estimator.targets(params, state.spread, state.trainable, outcome, predictions)
        return estimate.targets - predictions.values * jnp.sqrt(jnp.asarray(estimator.widths, jnp.float32))

    learnt, unbiased = errors(Params()), errors(Params(tau=0.0))
    return end, Batch(part_gradients(learnt, score), part_gradients(unbiased, score), learnt, score)


def signal(sums: Float[Array, "n g k d"], others: Float[Array, "n g k d"]) -> Float[Array, " k"]:
    """Return the product of the expectations of two gradients of a part, from all pairs of different parts."""
    num_parts = sums.shape[0] * sums.shape[1]
    product = jnp.sum(jnp.sum(sums, axis=(0, 1)) * jnp.sum(others, axis=(0, 1)), axis=1)
    return (product - jnp.sum(sums * others, axis=(0, 1, 3))) / (num_parts * (num_parts - 1))


def true_ratio(sums: Float[Array, "n g k d"], num_samples: int) -> Float[Array, " k"]:
    """Return the ratio of signal to noise of `REFERENCE` samples, from the gradients of the parts of all batches."""
    clean = signal(sums, sums)
    noise = jnp.mean(jnp.sum(sums**2, axis=3), axis=(0, 1)) - clean
    return clean / noise * sums.shape[1] * REFERENCE / num_samples


def look(task: str, num_envs: int, args: Args) -> Found:
    """Train half of the budget, and hold what batches say against the truth."""
    env, budget = _task(task)
    config, params = (
        config_of("p3o", bands=BANDS, num_envs=num_envs, segment_length=128),
        Params(total_steps=min(budget, args.max_steps)),
    )
    estimator, actor = Banded(bands=BANDS), make_actor(config, env, env.default_params)
    state = learner.init(config, env, jax.random.key(args.seed), params)
    half = learner.num_total_updates(config, env, params) // 2
    state, _ = jax.jit(partial(advance, config, env))(state, params, half)
    num_samples = config.num_envs * config.segment_length
    num_batches = max(args.batches * 64 // num_envs // UPDATES, 1) * UPDATES
    start = init_evidence(
        BANDS, num_parts(num_envs), actor.distribution.num_outputs * config.network.width, num_samples
    )

    def body(carry: Carry, key: PRNGKeyArray) -> tuple[Carry, tuple[Array, ...]]:
        position, evidence = carry
        position, batch = collect_batch(config, estimator, actor, state, position, key)
        evidence = update_evidence(evidence, batch.errors, batch.score)
        measured = signal_to_noise(batch.gradients)
        return (position, evidence), (batch.gradients, batch.unbiased, *measured)

    def sequence(position: Position, keys: PRNGKeyArray) -> tuple[Position, tuple[Array, ...]]:
        (position, evidence), rows = lax.scan(body, (position, start), keys)
        return position, (*rows, evidence.log_odds > 0)

    keys = jax.random.split(jax.random.fold_in(jax.random.key(args.seed), 1), (num_batches // UPDATES, UPDATES))
    _, rows = jax.jit(partial(lax.scan, sequence))(state.position, keys)
    gradients, unbiased, ratio, error = (x.reshape(num_batches, *x.shape[2:]) for x in rows[:4])
    scale = REFERENCE / num_samples
    ratio, error = np.asarray(ratio) * scale, np.asarray(error) * scale
    return Found(
        true=np.asarray(true_ratio(gradients, num_samples)),
        unbiased=np.asarray(true_ratio(unbiased, num_samples)),
        agreement=np.asarray(signal(gradients, unbiased) / signal(gradients, gradients)),
        mean=ratio.mean(0),
        deviation=ratio.std(0),
        error=np.sqrt((error**2).mean(0)),
        counts=np.asarray(rows[4]).mean(0),
    )


def _task(name: str) -> tuple[Environment, float]:
    if name in PROBES:
        return PROBES[name].env, PROBES[name].steps
    return registry.make(TASKS[name].env), TASKS[name].steps


ROWS = {
    "true": "true ratio",
    "unbiased": "true, Monte Carlo",
    "agreement": "agreement of the two",
    "mean": "measured, mean",
    "deviation": "measured, deviation",
    "error": "error by the rule",
    "counts": "taken to count",
}


def table(found: dict[tuple[str, int], Found]) -> str:
    """One row for each of `ROWS`, one column for each band."""
    widths = Banded(bands=BANDS).widths
    lines = []
    for (task, num_envs), result in found.items():
        result = result._replace(agreement=np.where(result.true > SEEN, result.agreement, np.nan))
        for field, label in ROWS.items():
            cells = ("" if np.isnan(x) else f"{x:.2f}" for x in getattr(result, field))
            lines.append((task, num_envs, label, *cells))
    about = (
        f"The rule asks whether the ratio of 8192 samples is {RATIO} or 0. *Taken to count*: the share of sequences of "
        f"{UPDATES} batches after which the odds are above even. *Agreement* is shown where the true ratio is above "
        f"{SEEN}. Bands by their width in steps."
    )
    return f"{harness.table(['task', 'environments', '', *(f'{w:g}' for w in widths)], lines)}\n\n{about}"


def main() -> None:
    """Entry point."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
    keep_on_disk()
    measured, found, text = harness.stamp(), {}, ""
    for task in args.tasks:
        for num_envs in args.num_envs:
            found[task, num_envs] = look(task, num_envs, args)
            text = harness.page("Evidence against the truth", measured, table(found))
            harness.write_text(args.out, text)
    Console().print(text, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
