"""A space of ConfigSpace as ours: hyperparameters, conditions, and forbidden clauses.

Forbidden clauses become constraints. Conditions become `when`, as far as they ask for certain values of listed options
or whole numbers; what has no counterpart is said in a sentence.
"""

from collections.abc import Mapping
from typing import Any

from neocarbs_jax.adapters.spaces.imported import ImportedSpace
from neocarbs_jax.space import Choice, Integer, Linear, Log, Ordinal, SearchSpace

_MOST_LEVELS = 256
_RELATIONS = {
    "ForbiddenEqualsRelation": "==", "ForbiddenLessThanRelation": "<", "ForbiddenGreaterThanRelation": ">",
    "ForbiddenLessThanEqualsRelation": "<=", "ForbiddenGreaterThanEqualsRelation": ">=",
}  # fmt: skip
_CLAUSES = {
    "ForbiddenEqualsClause": "==", "ForbiddenLessThanClause": "<", "ForbiddenGreaterThanClause": ">",
    "ForbiddenLessThanEqualsClause": "<=", "ForbiddenGreaterThanEqualsClause": ">=",
}  # fmt: skip


def from_configspace(space: Any) -> ImportedSpace:
    """Return a `ConfigSpace.ConfigurationSpace` as a space of ours.

    Args:
        space: theirs.

    Raises:
        ValueError: if a hyperparameter is of a kind that has no counterpart.
    """
    notes: list[str] = []
    when: dict[str, dict[str, list[Any]]] = {}
    for condition in space.conditions:
        try:
            found = _when(condition)
        except ValueError as error:
            notes.append(
                f"The condition {condition} has no counterpart ({error}): `{_child(condition)}` is always searched."
            )
            continue
        for parent, values in found.items():
            known = when.setdefault(_child(condition), {})
            known[parent] = [value for value in known.get(parent, values) if value in values]
    entries = {name: _axis(each, when.get(name), notes) for name, each in space.items()}
    constraints = []
    for clause in space.forbidden_clauses:
        try:
            constraints.append(f"not ({_text(clause)})")
        except ValueError as error:
            notes.append(f"The forbidden clause {clause} has no counterpart ({error}): it is left out.")
    return ImportedSpace(SearchSpace(**entries, **({"constraints": constraints} if constraints else {})), tuple(notes))


def _axis(theirs: Any, when: Mapping[str, Any] | None, notes: list[str]) -> Any:
    kind, name = type(theirs).__name__, theirs.name
    fields = {"center": _plain(theirs.default_value), "when": when}
    match kind:
        case "Constant" | "UnParametrizedHyperparameter":
            if when:
                notes.append(f"`{name}` is a constant with a condition: it is in every trial here.")
            return _plain(theirs.value)
        case "CategoricalHyperparameter":
            if theirs.weights is not None and len(set(theirs.weights)) > 1:
                notes.append(f"`{name}` has weights, which have no counterpart: its choices are equally likely.")
            return Choice(tuple(map(_plain, theirs.choices)), **fields)
        case "OrdinalHyperparameter":
            return Ordinal(tuple(map(_plain, theirs.sequence)), **fields)
    if not hasattr(theirs, "lower"):
        raise ValueError(f"`{name}` must be a hyperparameter that has a counterpart; got a {kind}.")
    low, high = _plain(theirs.lower), _plain(theirs.upper)
    if not kind.startswith("Uniform"):
        notes.append(f"`{name}` has a prior that has no exact counterpart: it is uniform, and starts at its default.")
    if kind.endswith("IntegerHyperparameter"):
        return Integer(low, high, log=bool(theirs.log), **fields)
    return Log(low, high, **fields) if theirs.log else Linear(low, high, **fields)


def _child(condition: Any) -> str:
    return condition.child.name if hasattr(condition, "child") else condition.components[0].child.name


def _when(condition: Any) -> dict[str, list[Any]]:
    """Return a condition as values by name of the parent.

    Raises:
        ValueError: if it is of another form.
    """
    kind = type(condition).__name__
    if kind == "AndConjunction":
        merged: dict[str, list[Any]] = {}
        for part in condition.components:
            for parent, values in _when(part).items():
                merged[parent] = [value for value in merged.get(parent, values) if value in values]
        return merged
    if kind == "OrConjunction":
        parts = [_when(part) for part in condition.components]
        if len({tuple(part) for part in parts}) > 1 or len(parts[0]) > 1:
            raise ValueError("it joins different parents by or")
        [parent] = parts[0]
        return {parent: list(dict.fromkeys(value for part in parts for value in part[parent]))}
    levels = _levels(condition.parent)
    wanted = condition.values if hasattr(condition, "values") else [condition.value]
    wanted = list(map(_plain, wanted))
    if kind in ("EqualsCondition", "InCondition"):
        return {condition.parent.name: [value for value in levels if value in wanted]}
    rank = levels.index(wanted[0])
    kept = {
        "NotEqualsCondition": [value for value in levels if value != wanted[0]],
        "GreaterThanCondition": levels[rank + 1 :],
        "LessThanCondition": levels[:rank],
    }.get(kind)
    if not kept:
        raise ValueError(f"it is a {kind}")
    return {condition.parent.name: kept}


def _levels(theirs: Any) -> list[Any]:
    for name in ("choices", "sequence"):
        if hasattr(theirs, name):
            return list(map(_plain, getattr(theirs, name)))
    if hasattr(theirs, "value"):
        return [_plain(theirs.value)]
    if type(theirs).__name__.endswith("IntegerHyperparameter") and theirs.upper - theirs.lower < _MOST_LEVELS:
        return list(range(int(theirs.lower), int(theirs.upper) + 1))
    raise ValueError(f"`{theirs.name}` has too many values to list")


def _text(clause: Any) -> str:
    """Return a forbidden clause as an expression."""
    kind = type(clause).__name__
    if kind in ("ForbiddenAndConjunction", "ForbiddenOrConjunction"):
        join = " and " if kind == "ForbiddenAndConjunction" else " or "
        return join.join(f"({_text(part)})" for part in clause.components)
    if kind in _RELATIONS:
        return f"{_name(clause.left)} {_RELATIONS[kind]} {_name(clause.right)}"
    if kind in _CLAUSES:
        return f"{_name(clause.hyperparameter)} {_CLAUSES[kind]} {_plain(clause.value)!r}"
    if kind == "ForbiddenInClause":
        return f"{_name(clause.hyperparameter)} in {tuple(map(_plain, clause.values))!r}"
    raise ValueError(f"it is a {kind}")


def _name(theirs: Any) -> str:
    name = theirs.name
    return name if name.isidentifier() else f"values[{name!r}]"


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
