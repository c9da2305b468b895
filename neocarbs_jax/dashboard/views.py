"""The figures of the page by view, for the trials that a filter keeps, with rings around those that are looked at.

Figures are dictionaries here. Where a filter only takes dots away, the figures of all trials are made once and the dots
selected from them, by the numbers of trials that traces carry as `ids`.
"""

import dataclasses
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from neocarbs_jax.dashboard.filters import Filter, kept
from neocarbs_jax.dashboard.source import Moment
from neocarbs_jax.dashboard.theme import Theme, mark_color, themed
from neocarbs_jax.report import plots
from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.curves import panels as curve_panels
from neocarbs_jax.report.plots.hyperparameters import panels as hyperparameter_panels
from neocarbs_jax.report.plots.order import panels as order_panels
from neocarbs_jax.report.plots.predictions import panels as prediction_panels
from neocarbs_jax.report.plots.progress import panels as progress_panels
from neocarbs_jax.report.plots.scaling import panels as scaling_panels
from neocarbs_jax.report.plots.snapshot import Snapshot

_CACHED = 32  # lists of figures


@dataclasses.dataclass(frozen=True)
class View:
    """Figures that are shown together.

    Attributes:
        title: on the button that shows them.
        said: how to read them, in a sentence.
        panels: makes them of a snapshot.
        dots_only: whether a filter only takes dots away.
        whole: whether they are of all trials, whatever the filter.
        small: whether there are many, so that each is smaller.
        least, least_per_axis: width in pixels below which they scroll, and what each hyperparameter adds to it.
    """

    title: str
    said: str
    panels: Callable[[Snapshot], list[go.Figure]]
    dots_only: bool = False
    whole: bool = False
    small: bool = False
    least: int = 0
    least_per_axis: int = 0


VIEWS: Mapping[str, View] = {
    "front": View(
        "Front",
        "Light dots are late. Blue: what fresh runs should score. Spending should rise along the dashed line.",
        lambda study: [plots.front(study), plots.spend(study)],
    ),
    "hyperparameters": View(
        "Hyperparameters",
        "Light is expensive. Ringed: on the measured front of all trials. Crosses: failed.",
        hyperparameter_panels, dots_only=True, small=True,
    ),
    "predictions": View(
        "Predictions",
        "Nine of ten bars should reach the dashed line, early and late alike. The share in the title is of all trials.",
        prediction_panels, dots_only=True, small=True,
    ),
    "order": View(
        "Over time", "Light is a high score. A cloud that narrows: the sweep has found its values.", order_panels,
        dots_only=True, small=True,
    ),
    "importances": View(
        "Importance",
        "By surrogates of all trials, whatever the filter. Blue: more is better; red: less is; pale: hardly matters.",
        lambda study: [plots.importances(study)], whole=True, least=560,
    ),
    "progress": View(
        "Progress", "The rating falls as the front fills; the hypervolume levels off.", progress_panels
    ),
    "scaling": View(
        "Scaling laws",
        "Points of the front of all trials, whatever the filter, and the band in which a further one should lie.",
        lambda study: scaling_panels(study) or [plots.scaling(study)], whole=True, small=True,
    ),
    "parallel": View(
        "All settings", "A line is a completed trial, coloured by score. Drag along an axis to look at a range.",
        lambda study: [plots.parallel(study)], least=160, least_per_axis=80,
    ),
    "curves": View("Curves", "Trials of the measured front, while training.", lambda study: (
        curve_panels(study) or [plots.curves(study)]
    )),
    "compare": View(
        "Two studies", "Where the bands of two fronts overlap, the picture does not tell the studies apart.",
        lambda study: [],
    ),
}  # fmt: skip


class Figures:
    """Figures of moments of studies; the latest are kept."""

    def __init__(self) -> None:
        self._known: OrderedDict[Any, list[dict[str, Any]]] = OrderedDict()
        self._lock = threading.RLock()

    def of(
        self, moment: Moment, view: str, conditions: Filter, theme: Theme = "light", other: Snapshot | None = None
    ) -> list[dict[str, Any]]:
        """Return the figures of a view.

        Args:
            moment: of the study.
            view: a key of `VIEWS`.
            conditions: that trials meet.
            theme: of the page.
            other: the second study of "compare"; without it that view has no figures.
        """
        if view == "compare":
            if other is None:
                return []
            made = plain([_compared(filtered(moment.snapshot, conditions), filtered(other, conditions))])
        else:
            with self._lock:
                made = self._made(moment, view, conditions)
        return [themed(figure, theme) for figure in made]

    def _made(self, moment: Moment, view: str, conditions: Filter) -> list[dict[str, Any]]:
        conditions = () if VIEWS[view].whole else conditions
        key = (moment.snapshot.name, moment.version, view, conditions)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        shown = VIEWS[view]
        if conditions and shown.dots_only:
            numbers = {str(trial.number) for trial in kept(moment.trials, conditions)}
            made = [selected(figure, numbers) for figure in self._made(moment, view, ())]
        else:
            made = plain(shown.panels(filtered(moment.snapshot, conditions)), small=shown.small)
        self._known[key] = made
        while len(self._known) > _CACHED:
            self._known.popitem(last=False)
        return made


def _compared(study: Snapshot, other: Snapshot) -> go.Figure:
    try:
        return plots.compare(study, other)
    except ValueError as error:  # the scores of one are to be high, those of the other low
        return style.styled(style.empty(go.Figure(), str(error)), "Two fronts")


def plain(figures: Sequence[go.Figure], small: bool = False) -> list[dict[str, Any]]:
    """Return figures as dictionaries, the last trace of each for the rings of chosen trials."""
    made = []
    for figure in figures:
        if small:
            figure.update_layout(height=330, title_font_size=13)
        content = style.as_dict(figure)
        if "legend" in content["layout"]:
            content["layout"]["legend"]["y"] = -0.3  # of the plot, which is low in a narrow window
        if any("ids" in trace for trace in content["data"]):
            content["data"].append({"type": "scatter", "x": [], "y": [], "showlegend": False})
        made.append(content)
    return made


def filtered(snapshot: Snapshot, conditions: Filter) -> Snapshot:
    """Return a study with only the trials that meet all conditions."""
    if not conditions:
        return snapshot
    trials = kept(snapshot.trials, conditions)
    numbers = {trial.number for trial in trials}
    expected = [point for point in snapshot.expected_front if point.trial.number in numbers]
    return dataclasses.replace(snapshot, trials=trials, expected_front=expected)


def selected(figure: dict[str, Any], numbers: Collection[str]) -> dict[str, Any]:
    """Return a figure with only the dots of some trials; traces without `ids` stay."""
    return {**figure, "data": [_some(trace, numbers) for trace in figure["data"]]}


def _some(trace: dict[str, Any], numbers: Collection[str]) -> dict[str, Any]:
    if "ids" not in trace:
        return trace
    mask = np.array([number in numbers for number in trace["ids"]], bool)
    return _masked(trace, mask)


def _masked(node: dict[str, Any], mask: np.ndarray) -> dict[str, Any]:
    found = {}
    for name, value in node.items():
        if isinstance(value, dict):
            value = _masked(value, mask)
        elif name != "colorscale" and isinstance(value, list | tuple | np.ndarray) and len(value) == len(mask):
            value = value[mask] if isinstance(value, np.ndarray) else [*itertools.compress(value, mask)]
        found[name] = value
    return found


def rings(figure: dict[str, Any], numbers: Collection[int], theme: Theme) -> dict[str, Any]:
    """Return the last trace of a figure: a ring with the number around each of some trials that it shows."""
    wanted = set(map(str, numbers))
    found = [
        (trace["x"][index], trace["y"][index], number)
        for trace in figure["data"] if "ids" in trace
        for index, number in enumerate(trace["ids"]) if number in wanted
    ]  # fmt: skip
    color = mark_color(theme)
    return {
        "type": "scatter", "mode": "markers+text", "showlegend": False, "hoverinfo": "skip", "name": "looked at",
        "x": [x for x, _, _ in found], "y": [y for _, y, _ in found], "text": [number for _, _, number in found],
        "textposition": "top center", "textfont": {"color": color, "size": 12}, "cliponaxis": False,
        "marker": {"symbol": "circle-open", "size": 15, "color": color, "line": {"width": 2.5, "color": color}},
    }  # fmt: skip
