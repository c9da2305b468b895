"""What a study says of itself in its storage: the space that it searches, its seed and its options."""

import dataclasses
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from neocarbs_jax import space as spaces
from neocarbs_jax import sweep
from neocarbs_jax.config import DIRECTIONS
from neocarbs_jax.gp import MATERN_LINEAR
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.space.constraints import Expression, text_of
from neocarbs_jax.strategies import STRATEGIES, Strategy
from neocarbs_jax.study import changes
from neocarbs_jax.study.liveness import quiet_optuna
from neocarbs_jax.study.storages import patiently

FORMAT = 2
"""Version of the attributes of a study and its rows; studies without a `format` are of library version 0.1.0."""

_DIRECTIONS = {name: [StudyDirection[name.upper()], StudyDirection.MINIMIZE] for name in DIRECTIONS}
"""Directions of score and cost, by that of the score."""

_PLAIN = ("warp", "aggression", "resample_every", "budget", "continues", "trial_cap", "delta")
_WRITING_SECONDS = 2.0
_FUNCTIONS = "constraint_functions"
_OPTIONS = ("strategy", *_PLAIN, "kernel_fn")


@dataclasses.dataclass(frozen=True)
class Header:
    """A study as its storage describes it.

    Attributes:
        study: the ledger.
        space: what is searched.
        seed: of the suggestions.
        options: fields of `sweep.Config` besides space and capacity.
        defaults: values of axes that were added later, for trials that had none.
    """

    study: optuna.Study
    space: SearchSpace
    seed: int
    options: Mapping[str, Any]
    defaults: Mapping[str, Any]


def check_options(options: Mapping[str, Any]) -> None:
    """Raise a ValueError for a name that is no option of a study."""
    for name in options:
        if name not in _OPTIONS:
            raise ValueError(f"Options of a study must be among {', '.join(_OPTIONS)}; got {name!r}.")


def create(
    storage: BaseStorage,
    name: str,
    space: SearchSpace,
    seed: int | None,
    defaults: Mapping[str, Any],
    options: Mapping[str, Any],
    adopt: bool,
    direction: str | None = None,
) -> Header:
    """Make the study, or open the one of this name and note what is new about it; `Study.create` has the arguments."""
    described = spaces.to_dict(space)
    if seed is not None and not (isinstance(seed, int | np.integer) and 0 <= seed < 2**63):
        raise ValueError(f"`seed` must be a whole number from 0 to 2**63 - 1; got {seed!r}.")
    study, is_mine = patiently(_create, storage, name, direction or "maximize")
    if not is_mine:
        _wait_for_space(study)
    own = direction_of(study) if "space" in study.user_attrs else None
    wanted = _DIRECTIONS[direction or own or "maximize"]
    if study.directions != wanted:
        needed, got = (", ".join(each.name.lower() for each in ways) for ways in (wanted, study.directions))
        raise ValueError(f"`name` must be that of a study with directions {needed}; {name!r} has {got}.")
    if "space" not in study.user_attrs:
        if not adopt and patiently(study.get_trials, deepcopy=False):
            raise ValueError(
                f"`name` must be that of a new study, or of one that NeoCARBS made; {name!r} was made by another tool. "
                "With adopt=True it goes on, and its trials are used where they lie in the space."
            )
        with quiet_optuna():
            patiently(study.set_metric_names, ["score", "cost"])
        seed = int(seed or 0)
        _write(study, {"format": FORMAT, "seed": seed, **_kept(options, {}), **_functions(space), "space": described})
        return Header(study, space, seed, {**options, "direction": direction_of(study)}, {})
    _check_format(study)
    before = read(study)
    merged = {**before.options, **options}
    sweep.Config(space, **merged)  # says now what does not fit together, before anything is written
    filled = _changed_space(study, before, space, described, defaults)
    if seed is not None and seed != before.seed:
        warnings.warn(f"Study {name!r} keeps its seed, {before.seed}; got {seed}.", stacklevel=3)
    unkept = study.user_attrs.get("unkept", [])
    known = {name: before.options.get(name, _default(name)) for name in options}
    changed = [name for name in options if name not in unkept and options[name] != known[name]]
    if changed:
        _write(study, _kept(merged, study.user_attrs))
        warnings.warn(f"Study {study.study_name!r} goes on with other options: {', '.join(changed)}.", stacklevel=3)
    return Header(study, space, before.seed, merged, filled)


def load(storage: BaseStorage, name: str) -> Header:
    """Open a study; `Study.load` has the arguments."""
    try:
        study = patiently(optuna.load_study, study_name=name, storage=storage)
    except KeyError as error:
        known = ", ".join(sorted(optuna.get_all_study_names(storage))) or "none"
        raise ValueError(f"`name` must be a study of the storage ({known}); got {name!r}.") from error
    if "space" not in study.user_attrs:
        rule = "`name` must be that of a study that NeoCARBS made"
        raise ValueError(
            f"{rule}; {name!r} has no search space. In Python, Study.create(space, storage, adopt=True) takes it over."
        )
    _check_format(study)
    return read(study)


def read(study: optuna.Study) -> Header:
    """Return what the study says of itself."""
    attrs = study.user_attrs
    options = dict(attrs.get("options", {}))
    strategy = options.pop("strategy", attrs.get("strategy", "neocarbs"))
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    if isinstance(strategy, Mapping):
        options["strategy"] = STRATEGIES[strategy["name"]](**strategy["fields"])
    elif strategy in STRATEGIES:
        options["strategy"] = STRATEGIES[strategy]()
    options["direction"] = direction_of(study)
    space = spaces.from_dict(attrs["space"])
    return Header(study, space, attrs["seed"], options, attrs.get("defaults", {}))


def direction_of(study: optuna.Study) -> str:
    """Return whether scores of a study are to "maximize" or to "minimize"."""
    return study.directions[0].name.lower()


def missing_options(header: Header, options: Mapping[str, Any]) -> list[str]:
    """Return the options and constraints of a study that no storage can keep, and that are not given now."""
    attrs = header.study.user_attrs
    given = _functions(header.space).get(_FUNCTIONS, [])
    lost = [f"the constraint {name}" for name in attrs.get(_FUNCTIONS, []) if name not in given]
    return [*(name for name in attrs.get("unkept", []) if name not in options), *lost]


def _functions(space: SearchSpace) -> dict[str, Any]:
    """Return the constraints that are functions, as an attribute of the study; nothing where there are none."""
    names = [text_of(one) for one in space.constraints if not isinstance(one, Expression)]
    return {_FUNCTIONS: names} if names else {}


def _create(storage: BaseStorage, name: str, direction: str) -> tuple[optuna.Study, bool]:
    """The study, and whether it was made here."""
    if name in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name=name, storage=storage), False
    try:
        return optuna.create_study(storage=storage, study_name=name, directions=_DIRECTIONS[direction]), True
    except optuna.exceptions.DuplicatedStudyError:
        return optuna.load_study(study_name=name, storage=storage), False


def _wait_for_space(study: optuna.Study) -> None:
    """Give another worker, which has just made the study, the time to say what it searches."""
    end = time.monotonic() + _WRITING_SECONDS
    while "space" not in study.user_attrs and not patiently(study.get_trials, deepcopy=False):
        if time.monotonic() > end:
            return
        time.sleep(0.05)


def _check_format(study: optuna.Study) -> None:
    version = study.user_attrs.get("format", 1)
    if version > FORMAT:
        rule = f"`name` must be that of a study of format {FORMAT} or earlier"
        raise ValueError(f"{rule}; {study.study_name!r} has format {version}, of a later version of this library.")


def _changed_space(
    study: optuna.Study, before: Header, space: SearchSpace, described: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Note the new space, say what changed, and return the values that old trials have on new axes."""
    functions = _functions(space).get(_FUNCTIONS, [])
    if functions != study.user_attrs.get(_FUNCTIONS, []):
        _write(study, {_FUNCTIONS: functions})
    if study.user_attrs["space"] == described:
        return before.defaults
    earlier = changes.earlier_values(study.study_name, before.space, space, before.defaults, defaults)
    _write(study, {"defaults": earlier, "space": described})
    if said := changes.in_words(before.space, space, earlier):
        message = f"Study {study.study_name!r} goes on with its trials over another space: {'; '.join(said)}."
        warnings.warn(message, stacklevel=4)
    return earlier


def _kept(options: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Options as attributes of a study that had those before; of what JSON has no form for, the name."""
    kept = {name: options[name] for name in _PLAIN if name in options}
    unkept = [name for name in before.get("unkept", []) if name not in options]
    attrs: dict[str, Any] = {"strategy": before.get("strategy", "neocarbs")}
    if "strategy" in options:
        strategy = options["strategy"]
        strategy = STRATEGIES[strategy]() if isinstance(strategy, str) else strategy
        attrs["strategy"] = strategy.name
        if STRATEGIES.get(strategy.name) is type(strategy):
            kept["strategy"] = {"name": strategy.name, "fields": _fields(strategy)}
        else:
            unkept.append("strategy")
    if options.get("kernel_fn", MATERN_LINEAR) is not MATERN_LINEAR:
        unkept.append("kernel_fn")
    return {**attrs, "options": kept, "unkept": unkept}


def _fields(strategy: Strategy) -> dict[str, Any]:
    return {field.name: getattr(strategy, field.name) for field in dataclasses.fields(strategy) if field.init}


def _default(option: str) -> Any:
    return {field.name: field.default for field in dataclasses.fields(sweep.Config)}[option]


def _write(study: optuna.Study, attrs: Mapping[str, Any]) -> None:
    for name, value in attrs.items():
        patiently(study.set_user_attr, name, value)
