"""The figures of a study by name; each is a function of a study, or of a snapshot of one, that returns a plotly figure.

study.figure("front").show()
study.figure("compare", other=Study.load("other.db")).write_html("fronts.html")
"""

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go

from neocarbs_jax.report.plots.compare import compare
from neocarbs_jax.report.plots.curves import curves
from neocarbs_jax.report.plots.front import front
from neocarbs_jax.report.plots.hyperparameters import hyperparameters
from neocarbs_jax.report.plots.importances import importances
from neocarbs_jax.report.plots.order import order
from neocarbs_jax.report.plots.parallel import parallel
from neocarbs_jax.report.plots.predictions import predictions
from neocarbs_jax.report.plots.progress import progress
from neocarbs_jax.report.plots.scaling import scaling
from neocarbs_jax.report.plots.snapshot import Pictured, Snapshot
from neocarbs_jax.report.plots.spend import spend

_ALL = (front, spend, predictions, hyperparameters, order, importances, progress, scaling, parallel, curves, compare)

FIGURES: dict[str, Callable[..., go.Figure]] = {function.__name__: function for function in _ALL}
"""By name."""


def figure(study: Pictured, name: str, **options: Any) -> go.Figure:
    """Return a figure of a study.

    Args:
        study: a study or a snapshot of one.
        name: a key of `FIGURES`.
        **options: `score_name` and `cost_name`, the labels of axes; `other`, the second study of "compare".

    Raises:
        ValueError: there is no such figure, or "compare" lacks its second study.
    """
    if name not in FIGURES:
        raise ValueError(f"`name` must be one of {', '.join(FIGURES)}; got {name!r}.")
    if name == "compare" and options.get("other") is None:
        raise ValueError("`other` must be the second study of the figure 'compare'; got None.")
    return FIGURES[name](study, **options)


__all__ = [
    "FIGURES", "Pictured", "Snapshot", "compare", "curves", "figure", "front", "hyperparameters", "importances",
    "order", "parallel", "predictions", "progress", "scaling", "spend",
]  # fmt: skip
