"""Many trials at once on one device: configurations of one shape are trained as one vmapped program.

Each member has a budget of its own. They are trained in pieces that end where the next member ends; those that are done
leave the batch as soon as a smaller one, a power of two, holds the others. So short trainings wait for nobody, and
there are few compilations: one for each shape and each size of a batch. A machine's devices share the members evenly.

What a member costs is what it would have cost alone: its own steps, times the seconds per step that a training of its
shape and epochs takes by itself, measured on a short piece. A batch takes less time than its members cost together.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiments import programs
from experiments.objective import Compiled, Training
from experiments.pace import Pace
from experiments.saved import keys
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.stopping import fits, is_done, remaining
from p3o_jax.evaluate import evaluate
from p3o_jax.learner import num_total_updates, steps_per_update
from p3o_jax.metrics import TERMS
from p3o_jax.settings import Config, Params
from p3o_jax.train import advance

Outcome = tuple[float, float, dict[str, Any]]


class Member(NamedTuple):
    """One training of a batch.

    Attributes:
        trial: that it belongs to.
        config: static settings.
        params: traced settings.
        settings: every setting by name, with environment and key.
    """

    trial: Trial
    config: Config
    params: Params
    settings: dict[str, Any]

    @property
    def shape(self) -> tuple[Config, str]:
        """What members of one program share."""
        return self.config, self.settings["env"]


class Members:
    """Train and evaluate several trials at once.

    Args:
        training: the objective of single trials, whose settings, seeds and evaluation are used.
        size: most members of a batch.
        devices: that share the members of a batch; by default all of this process.
    """

    def __init__(self, training: Training, size: int, devices: Sequence[Any] | None = None):
        self.training, self.size = training, size
        self.devices = tuple(devices or jax.local_devices())
        self._programs: dict[Any, Callable[..., Any]] = {}
        self._pace = Pace(training)

    def __call__(self, trials: Sequence[Trial]) -> list[Outcome]:
        """Return score, cost and attributes of each trial; one that diverged scores NaN and says why."""
        members = [self._member(trial) for trial in trials]
        outcomes: dict[int, Outcome] = {}
        for shape in dict.fromkeys(member.shape for member in members):
            alike = [member for member in members if member.shape == shape]
            for start in range(0, len(alike), self.size):
                batch = alike[start : start + self.size]
                for member, outcome in zip(batch, self._run(batch), strict=True):
                    outcomes[member.trial.number] = outcome
        return [outcomes[trial.number] for trial in trials]

    def _member(self, trial: Trial) -> Member:
        config, params = self.training.split(trial.values)
        return Member(trial, config, params, self.training.settings(trial.values, trial.replicate))

    def _run(self, batch: Sequence[Member]) -> list[Outcome]:
        """Train and evaluate members of one shape."""
        training, (config, env_name) = self.training, batch[0].shape
        compiled = training.compiled(config, env_name)
        with training.phase("training"):
            costs = [self._pace.cost(config, member.params, member.settings) for member in batch]
            states = self._train(compiled, batch)
        with training.phase("evaluating"):
            evaluation = self._evaluate(batch, states)
        return [
            self._outcome(compiled, member, cost, *_take((states, evaluation), i))
            for i, (member, cost) in enumerate(zip(batch, costs, strict=True))
        ]

    def _train(self, compiled: Compiled, batch: Sequence[Member]) -> Any:
        """Return the states at the end of each member's budget, stacked."""
        config = batch[0].config
        ends = [int(num_total_updates(config, compiled.env, member.params)) for member in batch]
        order = sorted(range(len(batch)), key=lambda index: ends[index])
        rows = _padded(order, self._width(len(order)))
        params = _stack([batch[row].params for row in rows])
        states = _stack([compiled.training.begin(self._keys(batch[row])[0], batch[row].params) for row in rows])
        finished, done = {}, 0
        while order:
            end = ends[order[0]]
            if end > done:
                limit = jnp.asarray(end - done, jnp.int32)
                states = self._program("advance", batch[0], len(rows))(states, params, limit)
                done = end
            for row in [row for row in order if ends[row] <= done]:
                finished[row] = _take(states, rows.index(row))
            order = [row for row in order if ends[row] > done]
            if order and self._width(len(order)) < len(rows):
                kept = _padded(order, self._width(len(order)))
                states, params = _take((states, params), jnp.asarray([rows.index(row) for row in kept]))
                rows = kept
        return _stack([finished[row] for row in range(len(batch))])

    def _evaluate(self, batch: Sequence[Member], states: Any) -> Any:
        rows = jnp.asarray(_padded(range(len(batch)), self._width(len(batch))))
        eval_keys = [self._keys(batch[int(row)])[1] for row in rows]
        padded = _take(states, rows)
        return jax.block_until_ready(self._program("score", batch[0], len(rows))(padded, jnp.stack(eval_keys)))

    def _program(self, kind: str, member: Member, size: int) -> Callable[..., Any]:
        """Return the vmapped program of a kind for a batch of that size."""
        name = kind, member.shape, size
        if name not in self._programs:
            config, env = member.config, self.training.compiled(*member.shape).env
            episodes = self.training.num_episodes

            def step(state: Any, params: Params, limit: Any) -> Any:
                return advance(config, env, state, params, num_updates=limit)[0]

            made = {
                "advance": jax.vmap(step, in_axes=(0, 0, None)),
                "score": jax.vmap(lambda state, key: evaluate(config, env, state, key, episodes)),
            }
            self._programs[name] = self._on_all_devices(jax.jit(made[kind]), kind)
        return self._programs[name]

    def _on_all_devices(self, fn: Callable[..., Any], kind: str) -> Callable[..., Any]:
        """Return a function whose members, along the first axis, are divided among the devices."""
        if len(self.devices) == 1:
            return fn
        mesh = Mesh(self.devices, "members")
        divided, shared = NamedSharding(mesh, PartitionSpec("members")), NamedSharding(mesh, PartitionSpec())
        where = {"advance": (divided, divided, shared), "score": (divided, divided)}[kind]
        specs = tuple(sharding.spec for sharding in where)
        run = jax.jit(jax.shard_map(fn, mesh=mesh, in_specs=specs, out_specs=divided.spec, check_vma=False))
        # Members are taken out of the batch and put together anew on one device: nothing is sent between the others.
        return lambda *args: jax.device_put(run(*jax.device_put(args, where)), self.devices[0])

    def _width(self, number: int) -> int:
        """Return the size of a batch that holds so many members: as many on every device, a power of two."""
        return len(self.devices) * _power_of_two(math.ceil(number / len(self.devices)))

    def _keys(self, member: Member) -> tuple[Any, Any]:
        """Return the keys of training and evaluation."""
        return keys(self.training.seed, member.settings["key"])

    def _outcome(self, compiled: Compiled, member: Member, cost: float, state: Any, evaluation: Any) -> Outcome:
        settings = member.settings
        metrics = programs.summary(state.log, state.failure, steps_per_update(member.config, compiled.env))
        if bool(metrics.failed):
            term = TERMS[int(metrics.failed_term_index)]
            reason = f"non-finite {term} at step {int(metrics.failed_step)}"
            return math.nan, cost, {"reason": reason, "settings": settings}
        score = float(evaluation.score_mean)
        self.training.tell_agent(member.trial, compiled, member.config, member.params, state, settings, score)
        return score, cost, self.training.attributes(metrics, evaluation, member.params, cost, settings)


def run_batches(
    study: Study,
    members: Members,
    *,
    num_trials: int | None = None,
    max_cost: float | None = None,
    on_ask: Callable[[Trial], None] | None = None,
    on_tell: Callable[[Trial], None] | None = None,
) -> None:
    """Ask for as many trials as a batch holds, run them at once and tell each; until the study is done.

    Args:
        study: to run.
        members: that train.
        num_trials: as of `Study.run`.
        max_cost: as of `Study.run`.
        on_ask: called with each trial before its batch runs.
        on_tell: called with each trial after it ended.
    """
    while not is_done(trials := study.trials, num_trials, max_cost):
        held = sum(t.status not in ("queued", "interrupted") for t in trials)
        wanted = members.size if num_trials is None else min(members.size, num_trials - held)
        asked = study.ask(wanted, max_cost)
        try:
            batch, left = [], remaining(trials, max_cost)
            for trial in asked:
                if fits(trial, batch, left, study.delta):
                    batch.append(trial)
                else:
                    study.interrupt(trial)
            if not batch:
                return
            for trial in batch:
                if on_ask:
                    on_ask(trial)
            for trial, (score, cost, attrs) in zip(batch, members(batch), strict=True):
                told = study.tell(trial, score, cost, **attrs)
                if on_tell:
                    on_tell(told)
        except BaseException:  # Ctrl-C too: no row stays running
            study.take_back()
            raise


@jax.jit  # one program for all leaves: one by one they take a hundred
def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@jax.jit
def _take(tree: Any, at: Any) -> Any:
    return jax.tree.map(lambda a: a[at], tree)


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def _padded(rows: Sequence[int], size: int) -> list[int]:
    """Return the rows, the last one repeated up to a size."""
    return [*rows, *[rows[-1]] * (size - len(rows))]
