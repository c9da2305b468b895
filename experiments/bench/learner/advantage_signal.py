"""How much of an advantage is signal: its correlation with the true one, which rollouts measure.

    python -m experiments.bench.learner.advantage_signal --tasks asterix minatar_breakout

A learning curve needs many seeds to tell one rule for weights or `tau` from another; this needs one training. Where it
stands after a quarter, a half and three quarters of its budget, segments are collected, and every rule makes its
advantages of the same predictions. True is the mean difference between the discounted rewards that follow the action
taken and those that follow an action drawn anew, both continued by the current policy with the same random keys, so
that what the action does not change cancels. Measured are the actions at the start, the middle and near the end of a
segment.

Correlations are small because advantages are noisy and so is the truth, a mean of few rollouts: compare rules within a
column, not columns. Over n actions of one training the standard error is about 1 / sqrt(n), that of the difference of
two rules less. A rule that made the predictions, too, could differ from what it does with those of the default.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from rich.console import Console

from envs import registry
from experiments.bench import harness
from experiments.bench.learner.runs import TASKS, check_tasks, config_of
from experiments.common import user_errors
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax import learner
from p3o_jax.normalize import scale_rewards
from p3o_jax.ops.advantages import p3o_advantage
from p3o_jax.ops.spread import Spread, init_spread, lag_taus, lag_weights
from p3o_jax.rollout import Actor, Position, apply, collect, make_actor, observe, policy_outputs, step
from p3o_jax.settings import Config, Params
from p3o_jax.train import advance

FRACTIONS = (0.25, 0.5, 0.75)
"""Of the budget, where a training is looked at."""


@dataclasses.dataclass
class Args:
    """Hold advantages against the truth."""

    tasks: tuple[str, ...] = ("asterix", "space_invaders", "minatar_breakout")
    """Names of tasks."""
    max_steps: float = 5e5
    """Budget of a training, or the task's own where that is less."""
    segments: int = 16
    """Collected at each fraction of a training; 3 x 64 actions of each are measured."""
    rollouts: int = 8
    """Of each action."""
    reach: int = 256
    """Steps of a rollout, discounted by .99."""
    seed: int = 0
    """Of the training."""
    out: Path = harness.RESULTS / "learning" / "signal.md"
    """Table."""

    def __post_init__(self) -> None:
        check_tasks(self.tasks)
        for name in ("segments", "rollouts", "reach"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1; got {getattr(self, name)}.")


class Rule(NamedTuple):
    """What makes an advantage of predictions."""

    weights: Float[Array, " H"]
    tau: Float[Array, ""]


class Look(NamedTuple):
    """What was found at one point of a training.

    Attributes:
        score: Of the latest episodes.
        num_actions: That were measured.
        correlation: Of each rule's advantages with the true ones.
    """

    score: float
    num_actions: int
    correlation: dict[str, float]


def rules_of(spread: Spread) -> dict[str, Rule]:
    """What is compared: rules for the weights with the default `tau`, then values of `tau` with the default weights."""
    horizon, explained = spread.count.shape[0], spread.explained_variance
    lag = jnp.arange(horizon, dtype=jnp.float32)
    params = Params()
    mixed = partial(lag_weights, explained, params.floor)
    weights = {
        "default": mixed(params.weight_prior),
        "prior 1": mixed(1.0),
        "prior .05": mixed(0.05),
        "prior 0, what is explained alone": mixed(0.0),
        "prior 1e6, max(1 - j / H, floor)": mixed(1e6),
        "1 - j / H": 1.0 - lag / horizon,
        "1 - log(1 + j) / log(1 + H)": 1.0 - jnp.log1p(lag) / jnp.log1p(horizon),
        ".99^j": 0.99**lag,
        ".97^j": 0.97**lag,
        "all 1": jnp.ones(horizon),
    }
    rules = {f"weights: {name}": Rule(w, lag_taus(spread, params.tau, "noise")) for name, w in weights.items()}
    taus = {f"tau {tau}": Rule(weights["default"], lag_taus(spread, tau, "noise")) for tau in (0.05, 0.1, 0.4, 0.8)}
    return rules | taus


def looks_at(task: str, args: Args) -> Iterator[Look]:
    """Train on a task, and yield what is found at each of `FRACTIONS`."""
    config, env = config_of("p3o", bands=0), registry.make(TASKS[task].env)
    params = Params(total_steps=min(TASKS[task].steps, args.max_steps))
    actor = make_actor(config, env, env.default_params)
    starts = (0, config.segment_length // 2, config.segment_length * 7 // 8)
    estimate = jax.jit(partial(collect_and_estimate, config, actor, starts))
    measure = jax.jit(partial(true_advantage, actor, args.rollouts, args.reach))
    train_on = jax.jit(partial(advance, config, env))
    state = learner.init(config, env, jax.random.key(args.seed), params)
    total = int(learner.num_total_updates(config, env, params))
    looks_key = jax.random.fold_in(jax.random.key(args.seed), total)  # the training splits the key itself
    for i, fraction in enumerate(FRACTIONS):
        num_updates = jnp.asarray(int(fraction * total)) - state.num_updates
        state, metrics = train_on(state, params, num_updates)
        estimated: dict[str, list[Array]] = {name: [] for name in rules_of(state.spread)}
        true, position = [], state.position
        for key in jax.random.split(jax.random.fold_in(looks_key, i), args.segments):
            collect_key, measure_key = jax.random.split(key)
            position, at_starts, advantages = estimate(state, position, collect_key)
            for name, of_segment in advantages.items():
                estimated[name] += [*of_segment]
            for j, (before, action) in enumerate(at_starts):
                true.append(measure(state, before, action, jax.random.fold_in(measure_key, j)))
        truth = np.concatenate(true)
        correlation = {name: float(np.corrcoef(np.concatenate(x), truth)[0, 1]) for name, x in estimated.items()}
        scores = [float(x) for x in metrics.score if jnp.isfinite(x)]
        yield Look(scores[-1] if scores else float("nan"), len(truth), correlation)


def collect_and_estimate(
    config: Config, actor: Actor, starts: tuple[int, ...], state: learner.State, position: Position, key: PRNGKeyArray
) -> tuple[Position, list[tuple[Position, Array]], dict[str, Float[Array, "s B"]]]:
    """Collect one segment: its end, and at each of `starts` (position, action) and each rule's advantages."""
    pieces, before = [], []
    env_params = actor.environments.env.default_params
    for begin, end in zip(starts, (*starts[1:], config.segment_length), strict=True):
        before.append(position)
        piece_key = jax.random.fold_in(key, begin)
        position, piece, _ = collect(
            actor, state.trainable, state.obs_moments, position, piece_key, env_params, end - begin
        )
        pieces.append(piece)
    segment = jax.tree.map(lambda *x: jnp.concatenate(x), *pieces)
    terminated, truncated = segment.terminated, segment.truncated
    rewards, _ = scale_rewards(state.reward_scaler, segment.reward, terminated | truncated, config.scale, 1.0)

    def values(obs: Array, first: Bool[Array, "t B"]) -> Float[Array, "t B H"]:
        return apply(actor, state.trainable, observe(state.obs_moments, obs), first, (), method="value")[0]

    mean, last_mean = values(segment.obs, segment.first), values(position.obs[None], position.first[None])[0]
    advantages = {
        name: p3o_advantage(mean, rule.weights, rewards, terminated, truncated, last_mean, rule.tau).advantages
        for name, rule in rules_of(state.spread).items()
    }
    at_starts = [(x, segment.action[t]) for x, t in zip(before, starts, strict=True)]
    return position, at_starts, {name: x[jnp.array(starts)] for name, x in advantages.items()}


def true_advantage(
    actor: Actor,
    num_rollouts: int,
    reach: int,
    state: learner.State,
    position: Position,
    action: Array,
    key: PRNGKeyArray,
    gamma: float = 0.99,
) -> Float[Array, " B"]:
    """Return what `action` brings beyond an action of the policy, the mean over rollouts of `reach` steps."""
    env_params = actor.environments.env.default_params

    def discounted_return(key: PRNGKeyArray, first_action: Array | None) -> Float[Array, " B"]:
        def body(carry: tuple[Position, Array, Array], inputs: tuple[Array, Array]):
            position, alive, total = carry
            t, keys = inputs
            outputs, memory = policy_outputs(actor, state.trainable, state.obs_moments, position)
            chosen = actor.distribution.sample(keys[0], outputs)
            if first_action is not None:
                chosen = jnp.where(t == 0, first_action, chosen)
            position, (reward, terminated, truncated, _) = step(actor, keys[1], position, memory, chosen, env_params)
            total = total + alive * gamma**t * reward
            return (position, jnp.where(terminated | truncated, 0.0, alive), total), None

        start = (position, jnp.ones(actor.batch_size), jnp.zeros(actor.batch_size))
        return lax.scan(body, start, (jnp.arange(reach, dtype=jnp.float32), jax.random.split(key, (reach, 2))))[0][2]

    def difference(key: PRNGKeyArray) -> Float[Array, " B"]:
        return discounted_return(key, action) - discounted_return(key, None)

    return jnp.mean(lax.map(difference, jax.random.split(key, num_rollouts)), axis=0)


def table(looks: dict[str, list[Look]]) -> str:
    """Correlations, the mean over a training's looks, one column per task."""
    columns = ["rule", *(f"{task} ({found[-1].score:.3g})" for task, found in looks.items())]
    rows = []
    for rule in rules_of(init_spread(1)):
        means = [np.mean([look.correlation[rule] for look in found]) for found in looks.values()]
        rows.append((rule, *(f"{mean:.3f}" for mean in means)))
    num_actions = next(iter(looks.values()))[0].num_actions
    about = f"Mean of {len(FRACTIONS)} looks at {num_actions} actions each; in brackets the score at the last."
    return f"{harness.table(columns, rows)}\n\n{about}"


def main() -> None:
    """Entry point."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
    keep_on_disk()
    console = Console()
    measured = harness.stamp()
    looks: dict[str, list[Look]] = {}
    for task in args.tasks:
        looks[task] = []
        for look in looks_at(task, args):
            looks[task].append(look)
            console.print(f"{task} at a score of {look.score:.3g}: {look.correlation['weights: default']:.3f}")
    text = harness.page("Advantages against the truth", measured, table(looks))
    harness.write_text(args.out, text)
    console.print(text, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
