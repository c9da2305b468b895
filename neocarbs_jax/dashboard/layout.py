"""What stands on the page: the study, filters, figures, the trial that is looked at, pinned trials, the table."""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import dcc, html

from neocarbs_jax.dashboard.filters import MEASURES, PREFIX
from neocarbs_jax.dashboard.views import VIEWS
from neocarbs_jax.space import Options, SearchSpace

POLL_SECONDS = 2.0
FORMS = {"toml": "TOML", "json": "JSON", "cli": "Command line", "py": "Python", "watch": "Watch the agent"}
"""What the settings of a trial can be copied as."""

_UNREAD: dict[str, Any] = {"aria-hidden": "true"}  # by screen readers: the fields have labels of their own


def layout(names: Sequence[str], study: str) -> html.Div:
    """Return the page before anything was read.

    Args:
        names: of the studies of the storage.
        study: the one that is shown first.
    """
    return html.Div(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Interval(id="tick", interval=round(1000 * POLL_SECONDS)),
            dcc.Store(id="theme", data="light"),
            dcc.Store(id="filter", data={}),
            *(dcc.Store(id=name) for name in ("moment", "chosen", "rows")),
            dcc.Store(id="pins", data=[]),
            dcc.Store(id="table-state", data={"sort": "number", "down": True, "page": 0}),
            html.A("Skip to the figures", href="#main", className="skip"),
            _header(names, study),
            html.Div(
                [
                    html.Aside(
                        html.Details(
                            [html.Summary("Filter"), html.Div(id="filters")],
                            open=True, id="filter-box",
                        ),
                        **_labelled("Filters"),
                    ),
                    html.Main([_figures(), _trial(), html.Section(id="pinned"), html.Section(id="table")], id="main"),
                ],
                className="columns",
            ),
        ]
    )  # fmt: skip


def filters(space: SearchSpace, given: Mapping[str, Any]) -> list[Any]:
    """Return the inputs of all filters; their places in the order are their ids.

    Args:
        space: of the study.
        given: what they hold at first, as `filters.from_address` reads it.
    """
    axes = [(PREFIX + name, name, axis) for name, axis in space.axes]
    rows = [_range(i, of, of, given) for i, of in enumerate(MEASURES)]
    more = [
        _options(i, of, name, axis, given) if isinstance(axis, Options) else _range(i, of, name, given, axis)
        for i, (of, name, axis) in enumerate(axes, start=len(MEASURES))
    ]
    clear = html.Button("Clear all", id="clear", className="plain")
    return [*rows, html.Details([html.Summary("Hyperparameters"), *more], open=True, className="more"), clear]


def _header(names: Sequence[str], study: str) -> html.Header:
    chooser = dcc.Dropdown(
        options=choices(names), value=study, id="study", clearable=False, searchable=len(names) > 9, maxHeight=320
    )
    return html.Header(
        [
            html.Div(
                [
                    html.H1("NeoCARBS"),
                    html.Label(["Study", chooser], htmlFor="study", className="chooser"),
                    html.Button("Dark", id="theme-button", className="plain"),
                ],
                className="bar",
            ),
            html.P(id="status", role="status"),
        ]
    )


def choices(names: Sequence[str]) -> list[Any]:
    """Return studies as options of a chooser."""
    return [{"label": name, "value": name} for name in sorted(names)]


def _figures() -> html.Section:
    views = [{"label": view.title, "value": name} for name, view in VIEWS.items()]
    other = html.Label(
        ["With", dcc.Dropdown(options=[], id="other", placeholder="another study of this storage")],
        htmlFor="other", id="other-box", hidden=True, className="chooser",
    )  # fmt: skip
    return html.Section(
        [
            dcc.RadioItems(options=views, value="front", id="view", className="tabs", inline=True),
            html.P(id="said", className="said"),
            other,
            html.Div(id="figures", className="grid"),
        ],
        **_labelled("Figures"),
    )


def _trial() -> html.Section:
    copy = html.Div(
        [
            html.H3("Copy its settings"),
            dcc.RadioItems(options=[], value="toml", id="form", className="tabs", inline=True),
            html.Pre(id="text", tabIndex="0"),
            html.Button("Copy", id="copy"),
            html.Span(id="copied", role="status"),
        ]
    )
    return html.Section([html.Div(id="trial-body"), copy], id="trial", hidden=True, **_labelled("Chosen trial"))


def _range(index: int, of: str, name: str, given: Mapping[str, Any], axis: Any = None) -> html.Fieldset:
    low, high = given[of] if isinstance(given.get(of), list) else (None, None)
    hints = ("any", "any") if axis is None else (f"{axis.low:.4g}", f"{axis.high:.4g}")
    return html.Fieldset(
        [
            html.Legend(name),
            _number("low", index, low, hints[0], of, f"{name}, at least"),
            html.Span("to", **_UNREAD),
            _number("high", index, high, hints[1], of, f"{name}, at most"),
        ]
    )


def _number(end: str, index: int, value: float | None, hint: str, of: str, label: str) -> html.Label:
    field = dcc.Input(
        id={"type": end, "index": index}, type="number", step="any", value=value, placeholder=hint, debounce=0.15,
        name=of,
    )  # fmt: skip
    return html.Label([html.Span(label, className="unseen"), field])


def _options(index: int, of: str, name: str, axis: Options, given: Mapping[str, Any]) -> html.Fieldset:
    texts = [str(option) for option in axis.options]
    wanted = given.get(of)
    chosen = [text for text in texts if text in wanted["options"]] if isinstance(wanted, dict) else texts
    boxes = dcc.Checklist(options=texts, value=chosen, id={"type": "options", "index": index, "of": of}, inline=True)
    return html.Fieldset([html.Legend(name), boxes])


def _labelled(text: str) -> dict[str, Any]:
    return {"aria-label": text}
