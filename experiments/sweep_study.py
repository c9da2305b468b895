"""What `p3o sweep` keeps with its study, so that a study is gone on with as it was made."""

from typing import Any

import optuna

from experiments.objective import Training
from experiments.settings import BEFORE, differences, flat
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.study import Study
from neocarbs_jax.study.storages import open_storage
from p3o_jax.settings import FOLLOWS


def check_settings(
    storage: str, name: str, space: SearchSpace, env: str, training: Training, strategy: str, continues: bool
) -> None:
    """Raise a ValueError if the storage holds a study of this name that was made with other settings."""
    opened = open_storage(storage)
    if name in optuna.get_all_study_names(opened):
        study = optuna.load_study(study_name=name, storage=opened)
        _check(study, space, env, training, strategy)
        if study.user_attrs.get("options", {}).get("continues") and not continues:
            raise ValueError(f"`continues` must be given for study {name!r}, which was made with it; got none.")


def keep_settings(study: Study, env: str, training: Training, strategy: str | None = None) -> None:
    """Enter what all trials share into the study; settings that are newer than the study count as unchanged.

    Raises:
        ValueError: If another worker was first, with something else.
    """
    if "settings" not in study.optuna_study.user_attrs:
        study.optuna_study.set_user_attr("settings", _shared(study.space, env, training))
    _check(study.optuna_study, study.space, env, training, strategy)


def _check(study: optuna.Study, space: SearchSpace, env: str, training: Training, strategy: str | None) -> None:
    shared, attrs = _shared(space, env, training), study.user_attrs
    stored = attrs.get("settings", {})
    stored = {"seeds": 1} | (BEFORE | stored if stored else {})  # before these were kept
    kept = {key: value for key, value in stored.items() if not _is_close(value, shared.get(key))}
    kept = {key: value for key, value in kept.items() if key not in space.names}  # fixed before, searched now
    made = {"seed": attrs.get("seed", training.seed), "strategy": attrs.get("strategy", strategy)}
    changed = differences(kept | made, shared | {"seed": training.seed, "strategy": strategy or made["strategy"]})
    if changed:
        rule = f"`set` and the like must be as study {study.study_name!r} was made"
        raise ValueError(f"{rule}; got {'; '.join(changed)}. Choose another `name`.")


def _shared(space: SearchSpace, env: str, training: Training) -> dict[str, Any]:
    """Return the settings that all trials share: those that are not searched."""
    settings: dict[str, Any] = {"env": env, "episodes": training.num_episodes, "seeds": training.num_seeds} | flat(
        training.config, training.params
    )
    searched = {name for name in training.config.fitted if {*FOLLOWS[name]} & {*space.names}}
    settings |= dict.fromkeys(searched, "fitted")  # to each trial
    return {name: value for name, value in settings.items() if name not in space.names}


def _is_close(kept: Any, now: Any) -> bool:
    """Return whether two values are the same number, of which an older study kept six digits."""
    return isinstance(kept, float) and isinstance(now, float) and f"{kept:.6g}" == f"{now:.6g}"
