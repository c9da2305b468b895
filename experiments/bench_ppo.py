"""PPO as good as a plain one: the learner with `estimator="gae"` beside a loop in the style of PureJaxRL.

    python -m experiments.bench_ppo

CartPole and MinAtar Breakout have PureJaxRL's published settings, Pendulum those of Stable-Baselines3's zoo. The loop
shares nothing with the learner but the environments. It ends all episodes alike, as PureJaxRL does; the learner tells
truncation from termination. The learner runs twice: with minibatches of samples, as the loop's, and with blocks of
environments, its default. Score: mean return of the episodes that end within an interval, interquartile mean and 95%
bootstrap interval over seeds.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import linen as nn
from jax import lax

from envs import registry
from experiments.common import compilation_cache, user_errors
from experiments.learning_report import with_interval
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import Config, MinibatchesOf, Params
from p3o_jax.train import make_train
from p3o_jax.vector import VectorEnvironment

NUM_INTERVALS = 32
LAMBDA, CLIP, VALUE, MAX_NORM, EPS = 0.95, 0.2, 0.5, 0.5, 1e-5


class Setting(NamedTuple):
    """What the published settings differ in."""

    env: str
    num_envs: int
    num_minibatches: int
    learning_rate: float
    activation: str
    steps: float
    num_steps: int = 128
    num_epochs: int = 4
    gamma: float = 0.99
    entropy: float = 0.01
    anneal: float = 1.0
    value_clip: float = CLIP


SETTINGS = {
    "cartpole": Setting("gymnax:CartPole-v1", 4, 4, 2.5e-4, "tanh", 5e5),
    "minatar_breakout": Setting("gymnax:Breakout-MinAtar", 64, 8, 5e-3, "relu", 1e7),
    "pendulum": Setting("gymnax:Pendulum-v1", 4, 64, 1e-3, "tanh", 2e5, 1024, 10, 0.9, 0.0, 0.0, float("inf")),
}


class ActorCritic(nn.Module):
    """Two torsos of two layers of 64; of a continuous policy also the log of its spread, the same for all states."""

    num_outputs: int
    activation: str
    continuous: bool

    @nn.compact
    def __call__(self, obs: jax.Array) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """What the policy's distribution needs, and values."""
        x, act = obs.reshape(obs.shape[0], -1).astype(jnp.float32), getattr(nn, self.activation)

        def head(size: int, scale: float) -> jax.Array:
            hidden = x
            for _ in range(2):
                hidden = act(nn.Dense(64, kernel_init=nn.initializers.orthogonal(2**0.5))(hidden))
            return nn.Dense(size, kernel_init=nn.initializers.orthogonal(scale))(hidden)

        policy = (head(self.num_outputs, 0.01),)
        if self.continuous:
            policy += (self.param("log_std", nn.initializers.zeros, (self.num_outputs,)),)
        return policy, head(1, 1.0)[:, 0]


def apply(network: ActorCritic, variables: Any, obs: jax.Array) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """Policy and values."""
    return cast(tuple[tuple[jax.Array, ...], jax.Array], network.apply(variables, obs))


def draw(key: jax.Array, policy: tuple[jax.Array, ...]) -> jax.Array:
    """An action of each environment."""
    if len(policy) == 1:
        return jax.random.categorical(key, policy[0])
    return policy[0] + jnp.exp(policy[1]) * jax.random.normal(key, policy[0].shape)


def entropy_of(policy: tuple[jax.Array, ...]) -> jax.Array:
    """Mean entropy; of a Gaussian without its constant."""
    return -(nn.softmax(policy[0]) * nn.log_softmax(policy[0])).sum(-1).mean() if len(policy) == 1 else policy[1].sum()


class Step(NamedTuple):
    """One step of all environments."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array
    episode_return: jax.Array


def of_action(policy: tuple[jax.Array, ...], action: jax.Array) -> jax.Array:
    """Log-probability of the actions taken; of a Gaussian without its constant."""
    if len(policy) == 1:
        return jnp.take_along_axis(nn.log_softmax(policy[0]), action[:, None], axis=1)[:, 0]
    mean, log_std = policy
    return -(0.5 * ((action - mean) / jnp.exp(log_std)) ** 2 + log_std).sum(-1)


def loss_of(
    network: ActorCritic, setting: Setting, variables: Any, batch: tuple[Step, jax.Array, jax.Array]
) -> jax.Array:
    """PPO's loss with both clips, of a flat minibatch."""
    step, advantage, target = batch
    policy, value = apply(network, variables, step.obs)
    ratio = jnp.exp(of_action(policy, step.action) - step.log_prob)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    of_policy = -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    near = step.value + jnp.clip(value - step.value, -setting.value_clip, setting.value_clip)
    of_value = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
    return of_policy + VALUE * of_value - setting.entropy * entropy_of(policy)


def advantages_of(gamma: float, steps: Step, last_value: jax.Array) -> jax.Array:
    """Generalised advantage estimates, going back in time."""

    def back(carry: tuple[jax.Array, jax.Array], step: Step) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        advantage, following = carry
        goes_on = 1.0 - step.done
        delta = step.reward + gamma * following * goes_on - step.value
        advantage = delta + gamma * LAMBDA * goes_on * advantage
        return (advantage, step.value), advantage

    return lax.scan(back, (jnp.zeros_like(last_value), last_value), steps, reverse=True)[1]


def train_plain(setting: Setting, num_updates: int, key: jax.Array) -> jax.Array:
    """Sum of the returns of the episodes that end in each update, and their number, [update, 2]."""
    env = registry.make(setting.env)
    envs, env_params = VectorEnvironment(env, setting.num_envs), env.default_params
    space = env.action_space(env_params)
    size = space.n if hasattr(space, "n") else int(np.prod(space.shape))
    network = ActorCritic(size, setting.activation, continuous=not hasattr(space, "n"))
    per_update = setting.num_epochs * setting.num_minibatches
    last_rate = setting.learning_rate * (1 - setting.anneal)
    rate = optax.linear_schedule(setting.learning_rate, last_rate, num_updates * per_update)
    optimizer = optax.chain(optax.clip_by_global_norm(MAX_NORM), optax.adam(rate, eps=EPS))
    key, network_key, reset_key = jax.random.split(key, 3)
    obs, env_state = envs.reset(reset_key, env_params)
    variables = network.init(network_key, obs)

    def act(carry: tuple[Any, ...], key: jax.Array) -> tuple[tuple[Any, ...], Step]:
        variables, obs, env_state = carry
        action_key, step_key = jax.random.split(key)
        policy, value = apply(network, variables, obs)
        action = draw(action_key, policy)
        following, env_state, reward, terminated, truncated, info = envs.step(step_key, env_state, action, env_params)
        done = (terminated | truncated).astype(jnp.float32)
        step = Step(obs, action, of_action(policy, action), value, reward, done, info["episode_return"])
        return (variables, following, env_state), step

    def update(carry: tuple[Any, ...], key: jax.Array) -> tuple[tuple[Any, ...], jax.Array]:
        variables, opt_state, obs, env_state = carry
        act_key, *epoch_keys = jax.random.split(key, 1 + setting.num_epochs)
        act_keys = jax.random.split(act_key, setting.num_steps)
        (_, obs, env_state), steps = lax.scan(act, (variables, obs, env_state), act_keys)
        last_value = apply(network, variables, obs)[1]
        advantage = advantages_of(setting.gamma, steps, last_value)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (steps, advantage, advantage + steps.value))

        def descend(carry: tuple[Any, Any], chosen: jax.Array) -> tuple[tuple[Any, Any], None]:
            variables, opt_state = carry
            minibatch = jax.tree.map(lambda x: x[chosen], flat)
            gradient = jax.grad(partial(loss_of, network, setting))(variables, minibatch)
            with jax.numpy_dtype_promotion("standard"):
                change, opt_state = optimizer.update(gradient, opt_state)
            return (optax.apply_updates(variables, change), opt_state), None

        orders = jnp.stack([jax.random.permutation(k, setting.num_steps * setting.num_envs) for k in epoch_keys])
        (variables, opt_state), _ = lax.scan(descend, (variables, opt_state), orders.reshape(per_update, -1))
        ended = jnp.stack([jnp.sum(steps.episode_return * steps.done), jnp.sum(steps.done)])
        return (variables, opt_state, obs, env_state), ended

    carry = (variables, optimizer.init(variables), obs, env_state)
    return lax.scan(update, carry, jax.random.split(key, num_updates))[1]


def train_ours(setting: Setting, minibatches_of: MinibatchesOf, key: jax.Array) -> jax.Array:
    """Mean return of the episodes that end in each interval, of the learner."""
    network = NetworkConfig(width=64, depth=2, activation=setting.activation)
    config = Config(
        num_envs=setting.num_envs,
        segment_length=setting.num_steps,
        num_minibatches=setting.num_minibatches,
        minibatches_of=minibatches_of,
        network=network,
        estimator="gae",
        num_buckets=NUM_INTERVALS,
    )
    params = Params(
        total_steps=setting.steps,
        learning_rate=setting.learning_rate,
        anneal=setting.anneal,
        update_epochs=setting.num_epochs,
        entropy=setting.entropy,
        value=VALUE,
        gamma=setting.gamma,
        value_clip=setting.value_clip,
    )
    return make_train(config, registry.make(setting.env))(key, params)[1].episode_return


def curves(setting: Setting, num_seeds: int) -> dict[str, np.ndarray]:
    """Scores of all, [seed, interval]."""
    num_updates = int(-(-setting.steps // (setting.num_envs * setting.num_steps)))
    keys = jax.random.split(jax.random.key(0), num_seeds)
    plain = jax.jit(lambda keys: lax.map(partial(train_plain, setting, num_updates), keys))(keys)
    interval = np.arange(num_updates) * NUM_INTERVALS // num_updates  # as the learner's
    ended = np.stack([np.asarray(plain)[:, interval == i].sum(axis=1) for i in range(NUM_INTERVALS)], axis=1)
    scores = {"plain loop": ended[..., 0] / ended[..., 1]}
    kinds: tuple[MinibatchesOf, ...] = ("environments", "samples")
    for kind in kinds:
        if kind == "environments" and setting.num_envs % setting.num_minibatches:
            continue
        train = partial(train_ours, setting, kind)
        scores[f"learner, {kind}"] = np.asarray(jax.jit(lambda keys, train=train: lax.map(train, keys))(keys))
    return scores


def table_of(results: dict[str, dict[str, np.ndarray]], steps: dict[str, float]) -> str:
    """Area and quarters of the curves, in Markdown."""
    head = ("task", "steps", "", "area, IQM [95%]", "at 1/4", "at 1/2", "at 3/4", "last tenth, IQM [95%]")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for task, scores in results.items():
        for name, score in scores.items():
            mid = [f"{np.mean(score[:, int(q * NUM_INTERVALS) - 1]):.3g}" for q in (0.25, 0.5, 0.75)]
            area, end = with_interval(np.nanmean(score, axis=1)), with_interval(np.nanmean(score[:, -3:], axis=1))
            lines.append(f"| {' | '.join((task, f'{steps[task]:.3g}', name, area, *mid, end))} |")
    return "\n".join(lines)


def main(tasks: tuple[str, ...] = tuple(SETTINGS), seeds: int = 5, max_steps: float = float("inf")) -> None:
    """Trains all on every task and writes the table.

    Args:
      tasks: names in `SETTINGS`.
      seeds: trainings of each.
      max_steps: no task takes more environment steps; the learning rate anneals over those it takes.
    """
    unknown = [task for task in tasks if task not in SETTINGS]
    if unknown:
        raise ValueError(f"`tasks` must be among {', '.join(SETTINGS)}; got {', '.join(unknown)}.")
    compilation_cache()
    results, steps = {}, {}
    command = "python -m experiments.bench_ppo " + " ".join(sys.argv[1:])
    stem = Path(__file__).parent / "results" / "learning" / "ppo"
    for task in tasks:
        setting = SETTINGS[task]
        steps[task] = min(setting.steps, max_steps)
        results[task] = curves(setting._replace(steps=steps[task]), seeds)
        table = table_of(results, steps)
        print(table)
        stem.with_suffix(".md").write_text(f"`{command}`, {seeds} seeds\n\n{table}\n")
        scores = {name: {who: x.round(4).tolist() for who, x in of.items()} for name, of in results.items()}
        stem.with_suffix(".json").write_text(json.dumps({"command": command, "steps": steps, "scores": scores}) + "\n")


if __name__ == "__main__":
    with user_errors():
        tyro.cli(main)
