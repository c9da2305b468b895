"""What the page does when something is chosen, and when the study has grown."""

from pathlib import Path
from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, Patch, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from neocarbs_jax.dashboard import filters, layout
from neocarbs_jax.dashboard.details import GRAPH, MOST_PINS, agent_of, comparison, details, text_of
from neocarbs_jax.dashboard.source import Moment, Source
from neocarbs_jax.dashboard.table import table
from neocarbs_jax.dashboard.views import VIEWS, Figures, rings
from neocarbs_jax.report.summary import account
from neocarbs_jax.study.trials import Trial


def connect(app: Dash, source: Source, agents: Path | None) -> None:
    """Register all callbacks.

    Args:
        app: the page.
        source: the studies.
        agents: folder of the sweep that kept agents; by default runs/NAME.
    """
    figures = Figures()
    _in_the_browser(app)
    _connect_study(app, source)
    _connect_figures(app, source, figures)
    _connect_choices(app)
    _connect_trials(app, source, agents)


def _in_the_browser(app: Dash) -> None:
    lows, highs = ({"type": end, "index": ALL} for end in ("low", "high"))
    options = {"type": "options", "index": ALL, "of": ALL}
    app.clientside_callback(
        ClientsideFunction("dashboard", "gather"),
        Output("filter", "data"),
        Input(lows, "value"), Input(highs, "value"), Input(options, "value"), Input("study", "value"),
        Input("view", "value"), State(lows, "name"), State(options, "id"), State(options, "options"),
        State("filter", "data"),
    )  # fmt: skip
    app.clientside_callback(
        ClientsideFunction("dashboard", "clear"),
        Output(options, "value"), Input("clear", "n_clicks"), State(options, "options"), prevent_initial_call=True,
    )  # fmt: skip
    app.clientside_callback(
        ClientsideFunction("dashboard", "theme"),
        Output("theme", "data"), Output("theme-button", "children"),
        Input("theme-button", "n_clicks"), State("theme", "data"),
    )  # fmt: skip
    app.clientside_callback(
        ClientsideFunction("dashboard", "copy"), Output("copied", "children"), Input("copy", "n_clicks"),
        Input("text", "children"),
    )  # fmt: skip
    app.clientside_callback(
        ClientsideFunction("dashboard", "table"), Output("table", "data-drawn"), Input("rows", "data")
    )
    app.clientside_callback(
        ClientsideFunction("dashboard", "first_page"), Output("table-state", "data"), Input("filter", "data"),
        State("table-state", "data"), prevent_initial_call=True,
    )  # fmt: skip
    app.clientside_callback(
        ClientsideFunction("dashboard", "fold"), Output("filter-box", "open"), Input("url", "pathname")
    )


def _connect_study(app: Dash, source: Source) -> None:
    @app.callback(
        Output("study", "value"), Output("view", "value"), Input("url", "search"), State("study", "value"),
        State("view", "value"),
    )  # fmt: skip
    def follow_address(search: str | None, study: str, view: str) -> tuple[str, str]:
        asked = filters.from_address(search)
        named, wanted = asked.get("study"), asked.get("view")
        return str(named) if named in source.names() else study, str(wanted) if wanted in VIEWS else view

    @app.callback(
        Output("filters", "children"), Output("other", "options"), Output("other", "value"),
        Output("chosen", "data"), Output("pins", "data"), Input("study", "value"), State("url", "search"),
    )  # fmt: skip
    def open_study(study: str, search: str | None) -> tuple[Any, ...]:
        asked = filters.from_address(search)
        given = asked if asked.get("study") == study else {}
        others = layout.choices([name for name in source.names() if name != study])
        space = _moment(source, study).snapshot.space
        return layout.filters(space, given) if space else [], others, None, None, []

    @app.callback(
        Output("moment", "data"), Output("status", "children"), Output("study", "options"),
        Input("tick", "n_intervals"), Input("study", "value"), State("moment", "data"), State("study", "options"),
    )  # fmt: skip
    def poll(_: int | None, study: str, before: dict[str, Any] | None, known: list[Any]) -> tuple[Any, ...]:
        options = layout.choices(source.names())
        options = no_update if options == known else options
        try:
            moment = source.moment(study)
        except ValueError as error:
            return no_update, str(error), options
        now = {"study": study, "version": moment.version}
        return no_update if now == before else now, _status(moment), options


def _connect_figures(app: Dash, source: Source, figures: Figures) -> None:
    shown = (Input("moment", "data"), Input("filter", "data"), Input("view", "value"), Input("theme", "data"),
             Input("other", "value"))  # fmt: skip

    def made(study: str, given: Any, view: str, theme: Any, other: str | None) -> list[dict[str, Any]]:
        moment = _moment(source, study)
        second = _moment(source, other).snapshot if other and view == "compare" else None
        return figures.of(moment, view, _filter(moment, given), theme, second)

    @app.callback(
        Output("figures", "children"), Output("figures", "className"), Output("said", "children"),
        Output("other-box", "hidden"), *shown, State("chosen", "data"), State("pins", "data"),
    )  # fmt: skip
    def draw(now: Any, given: Any, view: str, theme: Any, other: Any, chosen: Any, pins: Any) -> tuple[Any, ...]:
        if not now:
            return no_update, no_update, no_update, no_update
        about, graphs = VIEWS[view], []
        axes = _moment(source, now["study"]).snapshot.log_axes
        for index, figure in enumerate(made(now["study"], given, view, theme, other)):
            figure["layout"]["uirevision"] = f"{now['study']} {view} {given}"  # a zoom stays while the study grows
            if any("ids" in trace for trace in figure["data"]):
                figure["data"] = [*figure["data"][:-1], rings(figure, _marked(chosen, pins), theme)]
            graph = dcc.Graph(id={"type": "graph", "view": view, "index": index}, figure=figure, config=GRAPH)
            least = about.least + about.least_per_axis * len(axes)
            style = {"minWidth": least, "height": figure["layout"].get("height", 420)}
            graphs.append(html.Div(html.Div(graph, style=style), className="figure scroll"))
        return graphs, "grid three" if about.small else "grid", about.said, view != "compare"

    @app.callback(
        Output({"type": "graph", "view": ALL, "index": ALL}, "figure"), Input("chosen", "data"), Input("pins", "data"),
        *(State(one.component_id, one.component_property) for one in shown), prevent_initial_call=True,
    )  # fmt: skip
    def ring(chosen: Any, pins: Any, now: Any, given: Any, view: str, theme: Any, other: Any) -> list[Any]:
        count = len(ctx.outputs_list)
        patches = []
        for figure in made(now["study"], given, view, theme, other)[:count] if now else []:
            patch = Patch()
            if any("ids" in trace for trace in figure["data"]):
                patch["data"][len(figure["data"]) - 1] = rings(figure, _marked(chosen, pins), theme)
            patches.append(patch)
        return patches + [no_update] * (count - len(patches))

    @app.callback(
        Output("rows", "data"), Input("moment", "data"), Input("filter", "data"), Input("table-state", "data")
    )
    def list_trials(now: Any, given: Any, state: dict[str, Any]) -> Any:
        if not now:
            return no_update
        moment = _moment(source, now["study"])
        trials = filters.kept(moment.trials, _filter(moment, given))
        return table(trials, len(moment.trials), list(moment.snapshot.log_axes), state)


def _connect_choices(app: Dash) -> None:
    @app.callback(
        Output("chosen", "data", allow_duplicate=True),
        Input({"type": "graph", "view": ALL, "index": ALL}, "clickData"),
        Input({"type": "pick", "trial": ALL, "at": ALL}, "n_clicks"),
        Input({"type": "close", "trial": ALL}, "n_clicks"), prevent_initial_call=True,
    )  # fmt: skip
    def choose(*_: Any) -> Any:
        who: Any = ctx.triggered_id
        if not ctx.triggered[0]["value"]:  # buttons that have just been made
            return no_update
        if who["type"] == "close":
            return None
        if who["type"] == "pick":
            return who["trial"]
        number = ctx.triggered[0]["value"]["points"][0].get("id")
        return no_update if number is None else int(number)

    @app.callback(
        Output("pins", "data", allow_duplicate=True), Input({"type": "pin", "trial": ALL}, "n_clicks"),
        Input({"type": "unpin", "trial": ALL}, "n_clicks"), State("pins", "data"), prevent_initial_call=True,
    )  # fmt: skip
    def pin(_: Any, __: Any, pins: list[int]) -> Any:
        who: Any = ctx.triggered_id
        if not ctx.triggered[0]["value"]:
            return no_update
        number = who["trial"]
        return [p for p in pins if p != number] if number in pins else [*pins, number][-MOST_PINS:]


def _connect_trials(app: Dash, source: Source, agents: Path | None) -> None:
    @app.callback(
        Output("trial-body", "children"), Output("trial", "hidden"), Input("chosen", "data"), Input("moment", "data"),
        Input("pins", "data"), Input("theme", "data"),
    )  # fmt: skip
    def look(chosen: int | None, now: Any, pins: list[int], theme: Any) -> tuple[Any, bool]:
        moment, trial = _trial(source, now, chosen)
        if moment is None or trial is None:
            return [], True
        return details(moment.snapshot, trial, chosen in pins, theme), False

    @app.callback(
        Output("text", "children"), Output("form", "options"), Output("form", "value"), Input("chosen", "data"),
        Input("form", "value"), Input("moment", "data"),
    )  # fmt: skip
    def write(chosen: int | None, form: str, now: Any) -> tuple[Any, Any, Any]:
        _, trial = _trial(source, now, chosen)
        if trial is None:
            return no_update, no_update, no_update
        agent = agent_of(now["study"], trial.number, agents)
        forms = {name: said for name, said in layout.FORMS.items() if agent or name != "watch"}
        form = form if form in forms else next(iter(forms))
        return text_of(trial, form, agent), [{"label": said, "value": name} for name, said in forms.items()], form

    @app.callback(Output("pinned", "children"), Input("pins", "data"), Input("moment", "data"), Input("theme", "data"))
    def compare(pins: list[int], now: Any, theme: Any) -> list[Any]:
        found = [trial for number in pins if (trial := _trial(source, now, number)[1]) is not None]
        return comparison(found, theme)


def _moment(source: Source, study: str) -> Moment:
    try:
        return source.moment(study)
    except ValueError as error:  # gone meanwhile; the status line says so
        raise PreventUpdate from error


def _trial(source: Source, now: Any, number: int | None) -> tuple[Moment | None, Trial | None]:
    if not now or number is None:
        return None, None
    moment = _moment(source, now["study"])
    return moment, moment.trials[number] if 0 <= number < len(moment.trials) else None


def _filter(moment: Moment, given: Any) -> filters.Filter:
    return filters.read(given, moment.snapshot.log_axes)


def _marked(chosen: int | None, pins: list[int] | None) -> list[int]:
    return [*(pins or []), *([] if chosen is None else [chosen])]


def _status(moment: Moment) -> str:
    said = [account(moment.trials)]
    if moment.problem:
        said.append(moment.problem)
    elif moment.fitting:
        said.append("The expected front is being computed.")
    elif moment.fitted:
        said.append(f"The expected front is that of {moment.fitted} completed trials.")
    return " ".join(said)
