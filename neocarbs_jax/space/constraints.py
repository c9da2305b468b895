"""Constraints between axes: expressions such as "minibatch <= batch", or functions of the settings.

    SearchSpace(batch=Pow2(32, 512), minibatch=Pow2(8, 512), constraints=["minibatch <= batch"])
    SearchSpace(a=Linear(0, 1), b=Linear(0, 1), constraints=[lambda values: values["a"] + values["b"] <= 1])

A function is called with a mapping from names to arrays, inside `jit` too, and returns an array of booleans: it says
`&`, `|` and `~` in place of and, or, not, and `jnp` in place of `math`. Numbers arrive as floats; a choice among texts
arrives as a `Pick`, which can be compared with its options. A constraint that reads an axis which is not active holds.
"""

import ast
import dataclasses
import functools
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Function = Callable[[Mapping[str, Any]], Any]

_BINARY = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_COMPARE = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.In: lambda a, b: _any_of(a == one for one in b),
    ast.NotIn: lambda a, b: _not(_any_of(a == one for one in b)),
}  # fmt: skip
_FUNCTIONS = {"abs": "abs", "log": "log", "sqrt": "sqrt", "min": "minimum", "max": "maximum"}


class Pick:
    """A value of an axis whose options are no numbers, as constraints see it.

    It is equal or unequal to an option; where the options have an order, it is also less or greater.
    """

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # equality gives an array

    def __init__(self, axis: Any, index: Any):
        self._axis, self._index = axis, index

    def __eq__(self, other: object) -> Any:
        return self._index == self._of(other)

    def __ne__(self, other: object) -> Any:
        return self._index != self._of(other)

    def __lt__(self, other: object) -> Any:
        return self._index < self._of(other, ordered=True)

    def __le__(self, other: object) -> Any:
        return self._index <= self._of(other, ordered=True)

    def __gt__(self, other: object) -> Any:
        return self._index > self._of(other, ordered=True)

    def __ge__(self, other: object) -> Any:
        return self._index >= self._of(other, ordered=True)

    def _of(self, other: object, ordered: bool = False) -> Any:
        if ordered and self._axis.size > 1:
            raise ValueError(f"`constraints` must compare choices without order by == or !=; got {other!r}.")
        index = other._index if isinstance(other, Pick) else self._axis.index(other)
        if index is None or (isinstance(other, Pick) and other._axis.options != self._axis.options):
            raise ValueError(f"`constraints` must compare a choice with one of {self._axis.options}; got {other!r}.")
        return index


class Settings(Mapping[str, Any]):
    """Values by name; notes which of them are read."""

    def __init__(self, values: Mapping[str, Any]):
        self._values = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclasses.dataclass(frozen=True)
class Expression:
    """A constraint as text: comparisons of names and numbers, joined by and, or, not.

    It may calculate by + - * / // % **, abs, log, sqrt, min and max. A name with slashes is written with dots, as in
    train.batch; any other that Python has no word for as in values["svm:C"]. Nothing else is evaluated.

    Attributes:
        text: the expression.
    """

    text: str

    def __post_init__(self) -> None:
        try:
            _check(self._tree)
        except (SyntaxError, ValueError) as error:
            rule = "`constraints` must be comparisons of names and numbers, such as minibatch <= batch"
            raise ValueError(f"{rule}; got {self.text!r} ({getattr(error, 'msg', error)}).") from error

    @functools.cached_property
    def _tree(self) -> ast.expr:
        return ast.parse(self.text.strip(), mode="eval").body

    def __call__(self, values: Mapping[str, Any]) -> Any:
        return _evaluate(self._tree, values)

    def __str__(self) -> str:
        return self.text


def as_constraint(given: Any) -> Function:
    """Return a constraint from its text, or from a function.

    Raises:
        ValueError: if it is none.
    """
    if isinstance(given, str):
        return Expression(given)
    if not callable(given):
        raise ValueError(f"`constraints` must be texts or functions of the settings; got {given!r}.")
    return given


def text_of(constraint: Function) -> str:
    """Return a constraint for people: its text, or the name of the function."""
    return str(constraint) if isinstance(constraint, Expression) else getattr(constraint, "__name__", repr(constraint))


def holds(constraint: Function, values: Mapping[str, Any], inactive: Mapping[str, Any]) -> Any:
    """Return whether a constraint holds, which it does where it reads an axis that is not active.

    Args:
        constraint: to be evaluated.
        values: name -> value, or array of values.
        inactive: name -> whether the axis is not active, for axes with conditions.
    """
    seen = Settings(values)
    held = constraint(seen)
    for name in sorted(seen.read & set(inactive)):
        held = held | inactive[name]
    return held


def quantity(axis: Any, level_or_value: Any) -> Any:
    """Return what constraints see of an axis, from `axis.level` where it has options, otherwise from its value."""
    xp = level_or_value.__array_namespace__()
    if not hasattr(axis, "options"):
        return level_or_value.astype(xp.ones(()).dtype)
    if all(isinstance(option, bool) for option in axis.options):
        return xp.asarray(axis.options)[level_or_value]
    if axis.is_numeric:
        return xp.asarray(axis.options).astype(xp.ones(()).dtype)[level_or_value]
    return Pick(axis, level_or_value)


def _check(node: ast.expr) -> None:
    """Raise a ValueError for anything that is not in the list of what may be evaluated."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            children: list[ast.expr] = []
        case ast.Name():
            children = []
        case ast.Attribute() | ast.Subscript():
            _name_of(node)
            children = []
        case ast.BoolOp(values=values):
            children = values
        case ast.UnaryOp(operand=operand, op=ast.Not() | ast.USub() | ast.UAdd()):
            children = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            children = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            children = [left, *others]
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as args, keywords=[]) if name in _FUNCTIONS:
            children = args
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            children = elements
        case _:
            raise ValueError(f"{ast.unparse(node)} may not stand there")
    for child in children:
        _check(child)


def _name_of(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_name_of(value)}/{name}"
        case ast.Subscript(value=ast.Name(id="values"), slice=ast.Constant(value=str() as name)):
            return name
    raise ValueError(f"{ast.unparse(node)} is no name")


def _evaluate(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """Return the value of a checked expression."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return values[_name_of(node)]
        case ast.BoolOp(op=op, values=parts):
            join = operator.and_ if isinstance(op, ast.And) else operator.or_
            return functools.reduce(join, (_evaluate(part, values) for part in parts))
        case ast.UnaryOp(op=op, operand=operand):
            value = _evaluate(operand, values)
            return _not(value) if isinstance(op, ast.Not) else -value if isinstance(op, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.Compare(left=left, ops=ops, comparators=others):
            terms = [_evaluate(term, values) for term in (left, *others)]
            found = [_COMPARE[type(op)](a, b) for op, a, b in zip(ops, terms, terms[1:], strict=False)]
            return functools.reduce(operator.and_, found)
        case ast.Call(func=ast.Name(id=name), args=args):
            terms = [_evaluate(term, values) for term in args]
            function = getattr(_namespace(*terms), _FUNCTIONS[name])
            return functools.reduce(function, terms) if len(terms) > 1 else function(*terms)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return [_evaluate(element, values) for element in elements]
    raise AssertionError(node)  # `_check` lets nothing else pass


def _namespace(*terms: Any) -> Any:
    return jnp if any(isinstance(term, jax.Array) for term in terms) else np


def _not(value: Any) -> Any:
    return _namespace(value).logical_not(value)


def _any_of(found: Iterator[Any]) -> Any:
    return functools.reduce(operator.or_, found)
