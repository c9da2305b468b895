"""Optuna's trials as NeoCARBS sees them: which value is the score, what a trial cost, which parameters go together."""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from neocarbs_jax.space import Integer, Options, SearchSpace, from_optuna, from_parameter, to_parameter
from neocarbs_jax.study.results import Result, to_float
from neocarbs_jax.study.trials import Status, Trial

POINT = "neocarbs:point"
"""System attribute of a running trial: the parameters that were chosen for it, before it has any."""

SECONDS = "neocarbs:seconds"
"""System attribute: how long choosing them took, which is part of the trial's duration but not of its cost."""

_SHORTEST = 1e-6  # seconds: what a trial costs at least where its duration counts

Objective = int | str | None


@dataclasses.dataclass(frozen=True)
class Roles:
    """Which of a study's values is the score and which the cost.

    Attributes:
        score: index or metric name of the objective that is the score; None where it is clear from the directions.
        cost: index or metric name of the objective that is the cost; None likewise, or where there is no such.
        cost_attr: name of the user attribute that holds the cost; None for an objective, or else the duration.
    """

    score: Objective = None
    cost: Objective = None
    cost_attr: str | None = None

    def of(self, study: optuna.Study) -> "Roles":
        """Return the roles as indices.

        Raises:
            ValueError: when they do not follow from the study's directions, or do not fit them.
        """
        directions = study.directions
        score, cost = (self._index(study, name, getattr(self, name)) for name in ("score", "cost"))
        others = {i for i in range(len(directions)) if i not in (score, cost)}
        if len(directions) == 1:
            score = 0
        elif self.cost_attr is None and len(directions) == 2:
            if score is None and cost is None and set(directions) == {StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE}:
                score, cost = directions.index(StudyDirection.MAXIMIZE), directions.index(StudyDirection.MINIMIZE)
            elif (score is None) != (cost is None):
                score, cost = (others.pop(), cost) if score is None else (score, others.pop())
        clear = score is not None and (len(directions) == 1 or self.cost_attr is not None or cost is not None)
        if not clear or score == cost:
            names = [direction.name.lower() for direction in directions]
            rule = "`directions` must be one to maximize and one to minimize, or `score=` and `cost=` must say which is"
            raise ValueError(f"{rule} the score and which the cost; got {names}.")
        return Roles(score, cost, self.cost_attr)

    @staticmethod
    def _index(study: optuna.Study, role: str, objective: Objective) -> int | None:
        names = study.metric_names or []
        index = names.index(objective) if objective in names else objective
        if index is None or (isinstance(index, int) and 0 <= index < len(study.directions)):
            return index
        known = f"an index below {len(study.directions)}" + (f" or one of {', '.join(names)}" if names else "")
        raise ValueError(f"`{role}` must be {known}; got {objective!r}.")

    def result(self, study: optuna.Study, row: FrozenTrial) -> Result | None:
        """What an ended trial measured; None if it says nothing. The roles are indices."""
        values = row.values
        if values is None and row.state == TrialState.PRUNED and row.intermediate_values:
            values = [row.intermediate_values[max(row.intermediate_values)]]  # of the part that it ran, and its cost
        if row.state == TrialState.FAIL or values is None:
            return Result(math.nan, math.nan, {})
        if any(constraint > 0 for constraint in row.constraints.values()):
            return Result(math.nan, self._cost(row, values), {})  # infeasible: data of P(success)
        assert isinstance(self.score, int)
        sign = 1 if study.directions[self.score] == StudyDirection.MAXIMIZE else -1
        cost = self._cost(row, values)
        return None if math.isnan(cost) else Result(sign * values[self.score], cost, {})

    def _cost(self, row: FrozenTrial, values: Sequence[float]) -> float:
        if self.cost_attr is not None:
            cost = row.user_attrs.get(self.cost_attr, math.nan)
            return to_float(self.cost_attr, cost) if isinstance(cost, int | float) else math.nan
        if isinstance(self.cost, int):
            return values[self.cost]
        if row.duration is None:
            return math.nan
        return max(row.duration.total_seconds() - row.system_attrs.get(SECONDS, 0.0), _SHORTEST)


def to_trial(study: optuna.Study, row: FrozenTrial, roles: Roles, space: SearchSpace) -> Trial:
    """Return a row as a trial of the space; one without a place in it has no values."""
    values = {**row.system_attrs.get(POINT, {}), **row.params}
    if row.state == TrialState.WAITING:
        values |= row.system_attrs.get("fixed_params", {})
    values = {name: from_parameter(axis, values[name]) for name, axis in space.axes if name in values}
    if not row.state.is_finished():
        return Trial(row.number, values, "running")
    result = roles.result(study, row)
    if result is None or space.place(values) is None:
        return Trial(row.number, {}, "running")  # nothing is known of it, but that it took a turn
    status: Status = "completed" if result.flaw is None else "failed"
    known = math.isfinite(result.cost) and result.cost > 0
    score, cost = (result.score if status == "completed" else None), (result.cost if known else None)
    return Trial(row.number, values, status, score, cost)


def groups(rows: Collection[FrozenTrial]) -> list[dict[str, BaseDistribution]]:
    """Return parameters that were always suggested together, by their latest distributions.

    Conditional parameters form groups of their own, as in Optuna's TPESampler(group=True).
    """
    latest: dict[str, BaseDistribution] = {}
    seen: dict[str, list[int]] = {}
    for row in rows:
        for name, distribution in row.distributions.items():
            latest[name] = distribution
            seen.setdefault(name, []).append(row.number)
    together: dict[tuple[int, ...], dict[str, BaseDistribution]] = {}
    for name in sorted(latest):
        together.setdefault(tuple(seen[name]), {})[name] = latest[name]
    return list(together.values())


def to_space(distributions: Mapping[str, BaseDistribution]) -> SearchSpace | None:
    """Return the space of the distributions that can be searched; None if there is none."""
    axes = {}
    for name, distribution in distributions.items():
        if not distribution.single():
            try:
                axis = dict(from_optuna({name: distribution}).axes)[name]
                high = getattr(axis, "high", 0)
                if isinstance(axis, Integer) and max(abs(axis.low), high) >= 2**53:
                    continue  # beyond what a float counts: drawn at random
                axes[name] = axis
            except (ValueError, KeyError):  # such as True beside 1: drawn at random
                continue
    return SearchSpace(**axes) if axes else None


def to_parameters(
    space: SearchSpace, values: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> dict[str, Any]:
    """Return the values of the names that have distributions as parameters of these."""
    axes = dict(space.axes)
    parameters = {}
    for name, distribution in distributions.items():
        if name in axes and name in values:
            axis, value = axes[name], values[name]
            parameters[name] = to_parameter(axis, value)
            if isinstance(axis, Options) and isinstance(distribution, CategoricalDistribution):
                same = [choice for choice in distribution.choices if axis.index(choice) == axis.index(value)]
                parameters[name] = same[0] if same else parameters[name]  # as Optuna has it, tuples too
    return parameters
