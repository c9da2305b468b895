"""Trials of a sweep as trainings of their own: every setting and the random key of a row of the study."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from experiments import saved
from experiments.environments import full_name, with_arguments
from experiments.settings import BEFORE, NAMES, arguments_of, assignments, flat, replace
from neocarbs_jax.report.lookup import find_study
from p3o_jax.settings import Config, Params


class Repeated(NamedTuple):
    """A trial to repeat.

    Attributes:
        study: Name of the study.
        number: Of the trial.
        settings: Every setting, the environment, the seed, the key and the number of episodes.
        score: What the trial scored, the first of its trainings where it has several; None where it failed.
    """

    study: str
    number: int
    settings: dict[str, Any]
    score: float | None

    def compare(self, run: saved.Saved, episodes: int, score: float) -> str:
        """Return one line on the score beside the trial's."""
        then = "failed" if self.score is None else f"scored {self.score:.6g}"
        same = all(run.settings.get(name, value) == value for name, value in self.settings.items())
        if not same or episodes != self.settings["episodes"]:
            return f"trial {self.number} of study {self.study!r}, with other settings, {then}"
        said = "the same" if self.score == score else f"{score:.6g} here: another machine or version computes otherwise"
        return f"trial {self.number} of study {self.study!r} {then}: {said}"


def find_trial(storage: str, name: str | None, number: int | None, say: Callable[[str], object]) -> Repeated:
    """Return a trial of a study.

    Raises:
        ValueError: There is no such trial, or it does not say what it was made of.
    """
    if number is None:
        raise ValueError("`trial` must be given with `from-trial`; got none.")
    study = find_study(storage, name, say)
    trials = study.trials
    if not 0 <= number < len(trials):
        held = f"from 0 to {len(trials) - 1}" if trials else "one of the study, which holds none"
        raise ValueError(f"`trial` must be {held}; got {number}.")
    trial = trials[number]
    settings = trial.attrs.get("settings")
    if not settings:
        raise ValueError(f"`trial` must be one that ended and kept its settings; got {number}, {trial.status}.")
    infinite = {name: float(value) for name, value in settings.items() if value in ("inf", "-inf")}  # text in JSON
    scores = trial.attrs.get("scores") or [trial.score]
    return Repeated(study.name, number, BEFORE | settings | infinite, scores[0])


def wanted(
    env: str | None, seed: int | None, groups: Iterable[Iterable[str]], stored: Mapping[str, Any]
) -> tuple[dict[str, Any], frozenset[str]]:
    """Return every setting of the training that the user asks for, and the names of those that were given.

    Args:
        env: Name of the environment, if given.
        seed: If given; it replaces a trial's own key.
        groups: NAME=VALUE entries.
        stored: Settings of the trial, or the agent, that the others are taken from; empty for the defaults.

    Raises:
        ValueError: A setting is unknown or out of range.
    """
    values = assignments(groups)
    base = {name: value for name, value in stored.items() if name in NAMES}
    if base.get("estimator", "p3o") != "p3o":
        base.pop("bands", None)  # 0, as that estimator has none
    resolved = flat(*replace(*replace(Config(), Params(), base), values))
    origin = {
        "env": with_arguments(full_name(env or stored.get("env", "pong")), arguments_of(values)),
        "seed": stored.get("seed", 0) if seed is None else seed,
        "key": stored.get("key", "") if seed is None else "",
    }
    named = {"env": env or arguments_of(values) or None, "seed": seed}
    given = {name for name in values if name in NAMES} | {name for name, value in named.items() if value is not None}
    return origin | resolved, frozenset({*given, *stored})
