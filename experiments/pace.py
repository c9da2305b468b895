"""What a training costs by itself: its own updates, times the seconds that one of its kind takes alone."""

import time
from typing import Any

import jax
import jax.numpy as jnp

from experiments.objective import Training
from experiments.saved import keys
from experiments.settings import as_arrays
from p3o_jax.learner import num_total_updates
from p3o_jax.settings import Config, Params

PIECE_SECONDS = 0.2
"""Shortest piece by which the time of an update is measured."""

PIECES = 3
"""Timed pieces, of which the fastest counts: other work on the machine only makes them slower."""


class Pace:
    """Seconds per update, measured once for each static configuration, environment and number of epochs.

    So a training costs the same whatever else the machine does while it runs, and in whatever company.

    Args:
        training: whose programs are timed.
        known: seconds per update from earlier measurements, by the text that `kind` returns.
    """

    def __init__(self, training: Training, known: dict[str, float] | None = None):
        self.training = training
        self.known = {} if known is None else known

    def cost(self, config: Config, params: Params, settings: dict[str, Any]) -> float:
        """Return the seconds that the training takes alone.

        Args:
            config: static settings.
            params: traced settings.
            settings: every setting by name, as `Training.settings` gives them.
        """
        compiled = self.training.compiled(config, settings["env"])
        return self._per_update(config, params, settings) * int(num_total_updates(config, compiled.env, params))

    @staticmethod
    def kind(config: Config, params: Params, settings: dict[str, Any]) -> str:
        """Return what trainings of one pace share."""
        return f"{settings['env']} {config} {round(float(params.update_epochs))} epochs"

    def _per_update(self, config: Config, params: Params, settings: dict[str, Any]) -> float:
        kind = self.kind(config, params, settings)
        if kind not in self.known:
            compiled = self.training.compiled(config, settings["env"])
            endless = as_arrays(self.training.params.replace(total_steps=1e12, update_epochs=params.update_epochs))
            state = compiled.training.begin(keys(self.training.seed, settings["key"])[0], endless)

            def piece(updates: int) -> float:
                start = time.perf_counter()
                jax.block_until_ready(compiled.training.advance(state, endless, jnp.asarray(updates, jnp.int32)))
                return time.perf_counter() - start

            updates = 1
            while piece(updates) < PIECE_SECONDS:
                updates *= 2
            self.known[kind] = min(piece(updates) for _ in range(PIECES)) / updates
        return self.known[kind]
