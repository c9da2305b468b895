"""What random actions and the scripted player reach in environments: a table of episodes, scores and metrics.

    python -m experiments.bench.policies agar boids "chambers?num_chambers=3"
    python -m experiments.bench.policies "drive?num_scenes=16&respawn_at=start" --steps 600

Every episode that ends within the steps counts, as in the log of a training.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from envs.players import scripted
from experiments.bench import harness
from experiments.environments import make_env
from p3o_jax.vector import VectorEnvironment


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure."""

    envs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Environments, with arguments as in NAME?ARGUMENT=VALUE."""
    rows: int = 1024
    """Copies times agents."""
    steps: int = 2100
    """Steps of every row."""
    name: str | None = None
    """Name of the page to write; none by default."""


def random(env: Any) -> Callable[..., Any]:
    """Return the policy of uniformly random actions of all agents."""
    sample = env.action_space(env.default_params).sample

    def act(key: Any, state: Any, params: Any) -> Any:
        return jax.vmap(sample)(jax.random.split(key, env.num_agents)) if env.num_agents > 1 else sample(key)

    return act


def measure(name: str, kind: Callable[[Any], Callable[..., Any]], settings: Settings) -> tuple[object, ...]:
    """Play and return a row of the table."""
    env = make_env(name)
    num_envs = max(1, settings.rows // env.num_agents)
    vector, params, policy = VectorEnvironment(env, num_envs), env.default_params, kind(env)

    def body(state: Any, key: Any) -> tuple[Any, Any]:
        action_key, step_key = jax.random.split(key)
        action = jax.vmap(policy, in_axes=(0, 0, None))(jax.random.split(action_key, num_envs), state.env, params)
        action = action.reshape(vector.batch_size, *action.shape[1 + (env.num_agents > 1) :])
        _, state, _, _, _, info = vector.step(step_key, state, action, params)
        counts = info.get("controlled", jnp.ones(vector.batch_size, bool))
        names = ("score", "episode_length", *env.metrics)
        values = jnp.stack([info[key].astype(jnp.float32) for key in names])
        sums = jnp.sum(jnp.where(info["done"], values, 0.0), axis=1)
        return state, (jnp.sum(info["done"]), sums, jnp.mean(counts.astype(jnp.float32)))

    @jax.jit
    def play(state: Any, key: Any) -> Any:
        return jax.lax.scan(body, state, jax.random.split(key, settings.steps))[1]

    number, sums, counts = (np.asarray(x) for x in play(vector.reset(jax.random.key(0), params)[1], jax.random.key(1)))
    score, length, *rates = sums.sum(axis=0) / max(number.sum(), 1)
    text = ", ".join(f"{metric} {rate:.3f}" for metric, rate in zip(env.metrics, rates, strict=True))
    return name, kind.__name__, number.sum(), f"{score:.4f}", f"{length:.1f}", text, f"{counts.mean():.3f}"


def main() -> None:
    """Entry point."""
    settings = tyro.cli(Settings, description=__doc__)
    measured = harness.stamp()
    rows = [measure(name, kind, settings) for name in settings.envs for kind in (random, scripted)]
    columns = "environment, policy, episodes, score, length, metrics, rows that count"
    about = f"All episodes that end within {settings.steps} steps of {settings.rows} rows, copies times agents."
    page = harness.page("Random and scripted policies", measured, about, harness.table(columns.split(", "), rows))
    if settings.name:
        harness.write_text(harness.RESULTS / f"{settings.name}.md", page)
    print(page)


if __name__ == "__main__":
    main()
