"""The search space of an Optuna study, and its trials: from distributions, or from what its trials suggested."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from neocarbs_jax.adapters.optuna_rows import Roles
from neocarbs_jax.adapters.spaces.imported import ImportedSpace, options
from neocarbs_jax.space import SearchSpace, from_parameter, to_dict
from neocarbs_jax.space import from_dict as space_from_dict
from neocarbs_jax.space import from_optuna as axes_from_optuna
from neocarbs_jax.study import Study


def from_optuna(given: Mapping[str, BaseDistribution] | optuna.Study, **roles: Any) -> ImportedSpace:
    """Return the space of distributions by name, or of all that the trials of a study suggested.

    Of parameters that were not suggested in every trial, conditions are found where one categorical parameter explains
    when they were. Listed numbers that ascend become an `Ordinal`.

    Args:
        given: distributions, or a study.
        **roles: `score` and `cost`, which objectives of a study they are, and `cost_attr`, where its directions do not
            say; see `adapters.optuna_rows.Roles`.

    Raises:
        ValueError: if a distribution has no counterpart, the study has no trials, or its roles are not clear.
    """
    if not isinstance(given, optuna.Study):
        return ImportedSpace(SearchSpace(**_axes(given)))
    rows = given.get_trials(deepcopy=False)
    latest = {name: distribution for row in rows for name, distribution in row.distributions.items()}
    if not latest:
        raise ValueError(f"`given` must be a study whose trials suggested parameters; got {given.study_name!r}.")
    settled, notes = Roles(**roles).of(given), []
    axes = to_dict(SearchSpace(**_axes(latest)))
    suggested = [row for row in rows if row.params]
    for name, axis in axes.items():
        absent = [row for row in suggested if name not in row.params]
        if not absent or not isinstance(axis, dict):
            continue
        when = _explained(name, suggested, latest)
        if when:
            axis["when"] = when
        else:
            notes.append(
                f"`{name}` is missing in {len(absent)} trials, and no choice explains it: it is always searched."
            )
    assert isinstance(settled.score, int)
    names = given.metric_names
    minimised = given.directions[settled.score] == StudyDirection.MINIMIZE
    metric = names[settled.score] if names else None
    return ImportedSpace(space_from_dict(axes), tuple(notes), metric, "minimize" if minimised else "maximize")


def add_trials(study: Study, theirs: optuna.Study, **roles: Any) -> int:
    """Add the ended trials of an Optuna study to one of ours; return how many had a place in its space.

    Args:
        study: that takes them; its direction says in which sign scores are.
        theirs: whose trials are taken.
        **roles: as of `from_optuna`.

    Raises:
        ValueError: if the roles are not clear.
    """
    settled, added = Roles(**roles).of(theirs), 0
    sign = -1.0 if study.direction == "minimize" else 1.0
    for row in theirs.get_trials(deepcopy=False):
        if not row.state.is_finished() or (result := settled.result(theirs, row)) is None:
            continue
        values = {name: from_parameter(axis, row.params[name]) for name, axis in study.space.axes if name in row.params}
        if study.space.place(values) is not None:
            study.add(values, sign * result.score, result.cost, attrs={**row.user_attrs, "optuna_trial": row.number})
            added += 1
    return added


def _axes(distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, distribution in distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            found[name] = options(list(distribution.choices))
        elif distribution.single():
            found[name] = getattr(distribution, "low")  # noqa: B009  # of float and int distributions
        else:
            found |= dict(axes_from_optuna({name: distribution}).axes)
    return found


def _explained(
    name: str, rows: Sequence[FrozenTrial], latest: Mapping[str, BaseDistribution]
) -> dict[str, list[Any]] | None:
    """Return the choice that is decided before the parameter and tells when it is there; None without one."""
    for other, distribution in latest.items():
        if other == name or not isinstance(distribution, CategoricalDistribution):
            continue
        values = [(row.params.get(other), other in row.params, name in row.params) for row in rows]
        present = {value for value, known, there in values if there and known}
        absent = {value for value, known, there in values if not there and known}
        always_known = all(known for _, known, there in values if there)
        if present and absent and always_known and not present & absent:
            return {other: [choice for choice in distribution.choices if choice in present]}
    return None
