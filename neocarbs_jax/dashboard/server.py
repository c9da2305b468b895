"""The page as a server: it listens where it is told, answers its own pages only, and loads nothing from elsewhere."""

import ipaddress
import logging
from collections.abc import Callable
from pathlib import Path

from dash import Dash
from flask import Flask, Response, abort, request
from optuna.storages import BaseStorage
from werkzeug.serving import make_server

from neocarbs_jax.dashboard.callbacks import connect
from neocarbs_jax.dashboard.layout import layout
from neocarbs_jax.dashboard.source import Source
from neocarbs_jax.dashboard.storage import open_read_only


def make(
    storage: str | BaseStorage, study: str | None = None, agents: Path | None = None, *, fits: bool = True
) -> Dash:
    """Return the page.

    Args:
        storage: path or URL, opened such that nothing can be written; or an Optuna storage, taken as it is.
        study: that is shown first; by default the newest.
        agents: folder of the sweep that kept agents of trials; by default runs/NAME.
        fits: whether surrogates are fitted, for the expected front and the importances.

    Raises:
        ValueError: the storage cannot be opened, or holds no study, or none of this name.
    """
    source = Source(open_read_only(storage) if isinstance(storage, str) else storage, fits=fits)
    names = source.names()
    if not names:
        raise ValueError(f"`storage` must hold a study; got {storage!r}, which holds none.")
    if study is not None and study not in names:
        raise ValueError(f"`study` must be a study of the storage ({', '.join(names)}); got {study!r}.")
    first = study or names[-1]
    source.moment(first)  # says now what is wrong with it
    app = Dash(
        __name__, title="NeoCARBS", update_title="", suppress_callback_exceptions=True, add_log_handler=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        index_string=_INDEX,
    )  # fmt: skip
    app.layout = lambda: layout(source.names(), first)
    connect(app, source, agents)
    return app


def serve(app: Dash, host: str, port: int, ready: Callable[[int], None] = lambda port: None) -> None:
    """Serve the page until the process is interrupted.

    Args:
        app: the page.
        host: address to listen on.
        port: to listen on; 0 takes a free one.
        ready: called with the port once it listens.
    """
    guard(app, host)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(host, port, app.server, threaded=True)
    ready(server.server_port)
    server.serve_forever()


def is_loopback(host: str) -> bool:
    """Return whether a name or an address is this machine's own, which no other machine reaches."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def guard(app: Dash, host: str) -> None:
    """Answer only those who ask for this machine by its own name, so that no other site's page can read this one."""
    server: Flask = app.server
    policy = (
        f"default-src 'self'; script-src 'self' 'unsafe-eval' {' '.join(app.csp_hashes())}; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )

    @server.before_request
    def refuse_strangers() -> None:
        name = request.host.rpartition(":")[0].strip("[]") if ":" in request.host else request.host
        if is_loopback(host) and not is_loopback(name):
            abort(403)

    @server.after_request
    def add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


_INDEX = """<!doctype html>
<html lang="en"><head>{%metas%}<title>{%title%}</title><link rel="icon" href="data:,">{%css%}</head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body></html>
"""
