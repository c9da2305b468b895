"""A study as notebooks show it: how many trials, a small picture of its front, and the front's values."""

import math
from collections.abc import Sequence

from neocarbs_jax import markup
from neocarbs_jax.study.trials import Trial, completed, pareto_front

_WIDTH, _HEIGHT, _MARGIN = 420, 190, 28  # of the picture, in pixels
_MOST_ROWS = 12  # of the front; the picture shows all of it
_FRONT, _TRIAL = "#dc2626", "#9ca3af"


def study_html(name: str, trials: Sequence[Trial]) -> str:
    """Return what a notebook shows of a study.

    Args:
        name: of the study.
        trials: all rows of its ledger.
    """
    statuses = [trial.status for trial in trials]
    counts = [f"{statuses.count(status)} {status}" for status in dict.fromkeys(sorted(statuses))]
    spent = sum(trial.paid or 0.0 for trial in trials)
    head = f"<b>{markup.cell(name)}</b>: {', '.join(counts) or 'no trials yet'}; cost in all {spent:.4g}"
    front = pareto_front(trials)
    if not front:
        return f"<p>{head}. There is no front yet.</p>"
    shown = front[-_MOST_ROWS:]
    some = f"the {len(shown)} dearest of {len(front)} points" if len(shown) < len(front) else f"{len(front)} points"
    names = list(dict.fromkeys(name for trial in shown for name in trial.values))
    rows = [(trial.number, trial.cost, trial.score, *(trial.values.get(name, "") for name in names)) for trial in shown]
    values = markup.table(("trial", "cost", "score", *names), rows)
    return f"<p>{head}</p>{_picture(trials, front)}<p>The measured front, {some}:</p>{values}"


def _picture(trials: Sequence[Trial], front: Sequence[Trial]) -> str:
    """Score against the logarithm of the cost: a dot per trial, and the front as a staircase."""
    points = [(math.log(t.cost), t.score) for t in completed(trials) if t.cost is not None and t.score is not None]
    (left, right), (low, high) = ((min(column), max(column)) for column in zip(*points, strict=True))

    def place(log_cost: float, score: float) -> tuple[float, float]:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * (log_cost - left) / ((right - left) or 1.0)
        return x, _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * (score - low) / ((high - low) or 1.0)

    dots = "".join(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3'/>" for x, y in (place(*point) for point in points))
    steps = [place(math.log(t.cost or 1.0), t.score or 0.0) for t in front]
    path = f"M{steps[0][0]:.1f},{steps[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in steps[1:])
    path += f"H{_WIDTH - _MARGIN}"
    texts = [
        (_MARGIN, _HEIGHT - 8, "start", f"cost {math.exp(left):.3g}"),
        (_WIDTH - _MARGIN, _HEIGHT - 8, "end", f"{math.exp(right):.3g} (logarithmic)"),
        (_MARGIN, 14, "start", f"score from {low:.3g} to {high:.3g}"),
    ]
    labels = "".join(f"<text x='{x}' y='{y}' text-anchor='{anchor}'>{text}</text>" for x, y, anchor, text in texts)
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT}' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' "
        f"aria-label='score against cost' font-size='12' fill='currentColor'>{labels}"
        f"<g fill='{_TRIAL}'>{dots}</g><path d='{path}' fill='none' stroke='{_FRONT}' stroke-width='2'/></svg>"
    )
