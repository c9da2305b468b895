"""What a sweep says in sentences: what it did, which settings to take at which cost, and what to be wary of."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from neocarbs_jax.report.bounds import leaning
from neocarbs_jax.report.plots.predictions import Z90, predicted
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.trials import Trial

_FEW_COMPLETED = 20
_MANY_FAILED = 0.2
_UNLIKELY = 0.01
_ROUNDED = 1e-8  # what rounding up forgives, and more
_WORTH_MORE = 0.01  # of the front's range of scores
_WITH_UNIT = re.compile(r"(.+) \((.+)\)")


def account(trials: Sequence[Trial], cost_name: str = "cost") -> str:
    """Return one sentence about how many trials there are, how they ended, and what they cost."""
    number = Counter(t.status for t in trials)
    parts = [f"{number[s]} {s}" for s in ("completed", "failed", "interrupted", "running", "queued") if number[s]]
    spent = sum(t.paid or 0.0 for t in trials)
    return f"{counted(len(trials), 'trial')}: {', '.join(parts) or 'none yet'}; {cost_name} in all {spent:.4g}."


def budgets(front: Sequence[ExpectedPoint], most: int = 3) -> list[tuple[float, ExpectedPoint]]:
    """Return round costs, spread over those of a front, each with the best point that it pays for.

    A budget is left out if it buys less than a hundredth of the front's range of scores above the one before.
    """
    if not front:
        return []
    low, high = math.log(front[0].cost), math.log(front[-1].cost)
    gain = _WORTH_MORE * abs(front[-1].score - front[0].score)
    chosen: list[tuple[float, ExpectedPoint]] = []
    for share in (0.2, 0.6, 1.0)[-most:] if high > low else (1.0,):
        budget = _round_up(math.exp(low + share * (high - low)))
        point = [p for p in front if p.cost <= budget * (1 + _ROUNDED)][-1]
        if not chosen or abs(point.score - chosen[-1][1].score) > gain:
            chosen.append((budget, point))
    return chosen


def advice(front: Sequence[ExpectedPoint], score_name: str = "score", cost_name: str = "cost") -> list[str]:
    """Return a sentence for each of a few costs: which settings to take, and what to expect of them."""
    name, unit = named.groups() if (named := _WITH_UNIT.fullmatch(cost_name)) else (cost_name, "")
    unit = unit and f" {unit}"
    return [
        f"With a {name} of up to {budget:.4g}{unit}, take the settings of trial {point.trial.number}: expected "
        f"{score_name} {point.score:.4g} [{point.low:.4g}, {point.high:.4g}] at {point.cost:.4g}{unit}."
        for budget, point in budgets(front)
    ]


def warnings_of(study: Pictured) -> list[str]:
    """Return a sentence for everything that a reader should be wary of."""
    trials, front = study.trials, study.expected_front
    return [*_about_bounds(study, front), *_about_failures(trials), *_about_predictions(trials), *_about_size(trials)]


def _about_bounds(study: Pictured, front: Sequence[ExpectedPoint]) -> list[str]:
    return [
        f"The front leans on a bound: {lean.points} of {lean.total} points have {lean.name} at or near "
        f"{lean.bound:.6g}. Better settings may lie beyond: {lean.advice}."
        for lean in (leaning(study.space, front) if study.space else ())
    ]


def _about_failures(trials: Sequence[Trial]) -> list[str]:
    failed = [t for t in trials if t.status == "failed"]
    if not failed:
        return []
    ended = len(failed) + sum(t.status == "completed" for t in trials)
    reason, count = Counter(t.reason or "no reason given" for t in failed).most_common(1)[0]
    hint = " That is much: look at where the crosses lie below." if len(failed) > _MANY_FAILED * ended else ""
    return [
        f"{len(failed)} of {ended} trials failed ({len(failed) / ended:.0%}); most often ({count}): {reason}.{hint}"
    ]


def _about_predictions(trials: Sequence[Trial]) -> list[str]:
    known = [t for t in predicted(trials) if t.predicted_score_std]
    inside = sum(
        abs((t.score or 0.0) - (t.predicted_score or 0.0)) <= Z90 * (t.predicted_score_std or 0.0) for t in known
    )
    n = len(known)
    chance = sum(math.comb(n, k) * 0.9**k * 0.1 ** (n - k) for k in range(inside + 1)) if n <= 1000 else float(
        math.erfc((0.9 * n - inside) / math.sqrt(2 * 0.09 * n)) / 2
    )  # fmt: skip
    if not n or chance >= _UNLIKELY:
        return []
    return [
        f"The surrogate is surer than it should be: {inside} of {n} scores ({inside / n:.0%}) lie within their "
        "predicted 90% interval. Take the intervals of the front as too narrow; confirm the points that you use."
    ]


def _about_size(trials: Sequence[Trial]) -> list[str]:
    done = sum(t.status == "completed" for t in trials)
    if done >= _FEW_COMPLETED:
        return []
    return [
        f"Only {counted(done, 'trial')} completed: below {_FEW_COMPLETED}, the front and its intervals mean little."
    ]


def counted(number: int, thing: str) -> str:
    """Return a number with its noun."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _round_up(value: float) -> float:
    """Return the next larger of 1, 2, 5, 10, 20, ... times a power of ten, in steps of one significant digit."""
    scale = 10.0 ** math.floor(math.log10(value))
    return float(f"{math.ceil(value / scale - 1e-9) * scale:.6g}")
