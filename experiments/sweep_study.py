"""What `p3o sweep` keeps with its study, so that a study is gone on with as it was made."""

import dataclasses
import os
import platform
from collections.abc import Collection, Iterable
from typing import Any

from optuna.trial import TrialState

from experiments.objective import Training
from experiments.settings import RANGES, differences, flat, pairs
from neocarbs_jax.space import Bounded, SearchSpace
from neocarbs_jax.study import Study


def search_space(
    axes: dict[str, Bounded], bounds: Iterable[str | Iterable[str]] = (), fixed: Collection[str] = ()
) -> SearchSpace:
    """Return the axes but those that are fixed, with other bounds for some: "AXIS=LOW,HIGH".

    Raises:
        ValueError: Bounds read otherwise, are out of range, or belong to no axis.
    """
    axes = {name: axis for name, axis in axes.items() if name not in fixed}
    for name, text in pairs(bounds, "bounds").items():
        if name not in axes:
            known = f"must name one of {', '.join(axes)}" if axes else "must be empty where every axis is set"
            raise ValueError(f"`bounds` {known}; got '{name}={text}'.")
        try:
            low, high = (float(end) for end in text.split(","))
        except ValueError:
            raise ValueError(f"`bounds` must read AXIS=LOW,HIGH; got '{name}={text}'.") from None
        try:
            axes[name] = dataclasses.replace(axes[name], low=low, high=high)
        except ValueError as error:
            raise ValueError(f"`bounds` of {name}: {error}") from error
        for end in (low, high):
            if name in RANGES and end not in RANGES[name]:
                raise ValueError(f"`bounds` of {name} must be {RANGES[name]}; got {end:g}.")
    if not axes:
        raise ValueError("`set` must leave an axis to search; got all of them.")
    return SearchSpace(**axes)


def keep_settings(study: Study, env: str, training: Training, strategy: str | None = None) -> None:
    """Enter what all trials share into the study; settings that are newer than the study count as unchanged.

    Raises:
        ValueError: If the study was made with something else.
    """
    shared: dict[str, Any] = {"env": env, "episodes": training.num_episodes} | flat(training.config, training.params)
    searched = [name for name, _ in study.space.axes]
    shared = {name: value for name, value in shared.items() if name not in searched}
    attrs = study.optuna_study.user_attrs
    if "settings" not in attrs:
        study.optuna_study.set_user_attr("settings", shared)
    kept = study.optuna_study.user_attrs["settings"]  # another worker's, if it was first
    kept = {name: value for name, value in kept.items() if not _is_close(value, shared.get(name))}
    made = {"seed": attrs.get("seed", training.seed), "strategy": attrs.get("strategy", strategy)}
    now = {"seed": training.seed, "strategy": strategy or made["strategy"]}
    changed = differences(kept | made, shared | now)
    if changed:
        raise ValueError(
            f"`set` and the like must be as study {study.name!r} was made; got {'; '.join(changed)}. "
            "Choose another `name`."
        )


def take_back(study: Study) -> None:
    """Mark the trials that this process runs as interrupted, which teaches the tuner nothing."""
    for row in study.optuna_study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if (row.user_attrs.get("host"), row.user_attrs.get("process")) == (platform.node(), os.getpid()):
            study.optuna_study.tell(row.number, state=TrialState.FAIL, skip_if_finished=True)


def _is_close(kept: Any, now: Any) -> bool:
    """Return whether two values are the same number, of which an older study kept six digits."""
    return isinstance(kept, float) and isinstance(now, float) and f"{kept:.6g}" == f"{now:.6g}"
