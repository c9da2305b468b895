"""The local page: one HTML file, and a websocket over which a game runs; it listens on the loopback address only.

The server is read-only: messages from the page pause, step and steer the page's own game and reach nothing else.
"""

import asyncio
import contextlib
import json
import math
import socket
import time
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from experiments.watching.game import Game, Program
from experiments.watching.hands import Hands, keys_of

HOST = "127.0.0.1"
HOST_NAMES = [HOST, "localhost"]
LARGEST_SPEED = 60
LARGEST_MESSAGE = 1024
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Page(NamedTuple):
    """What a page shows.

    Attributes:
        program: What plays.
        policy: Its name.
        seed: Of the first game.
        speed: Steps per second at first.
    """

    program: Program
    policy: str
    seed: int
    speed: int


@dataclass
class Controls:
    """What the person at the page wants.

    Attributes:
        hands: Whether the person acts, and how.
        speed: Steps per second.
        paused: Whether only single steps are taken.
        steps: Single steps that are asked for.
        restart: Whether another game is asked for.
        changed: Set by every message.
    """

    hands: Hands
    speed: float
    paused: bool = False
    steps: int = 0
    restart: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def obey(self, message: Any, now: float) -> None:
        """Take a message of the page.

        Raises:
            ValueError: The message is none that the page sends.
        """
        match message:
            case {"pause": bool(paused)}:
                self.paused, self.steps = paused, 0
            case {"speed": int(speed) | float(speed)} if math.isfinite(speed):
                self.speed = min(max(float(speed), 1.0), float(LARGEST_SPEED))
            case {"step": True}:
                self.paused, self.steps = True, min(self.steps + 1, LARGEST_SPEED)
            case {"restart": True}:
                self.restart = True
            case {"press": int(action)}:
                self.hands.press(action, now)
            case {"release": True}:
                self.hands.release(now)
            case _:
                raise ValueError(f"`message` must be one that the page sends; got {message!r}.")
        self.changed.set()


def listen(port: int) -> socket.socket:
    """Return a socket that listens on the loopback address.

    Raises:
        ValueError: The port is taken.
    """
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise ValueError(f"`port` must be free, or 0 for any that is; got {port} ({error.strerror}).") from error


def make(page: Page) -> uvicorn.Server:
    """Return the server of a page; its `run` takes a list of sockets and blocks."""
    config = uvicorn.Config(
        application(page),
        log_level="warning",
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE,
        ws_per_message_deflate=False,
        server_header=False,
    )
    return uvicorn.Server(config)


def application(page: Page) -> Starlette:
    """Return the application: the page at /, what it is about at /about, and the games at /play."""
    html = files("experiments.watching").joinpath("page.html").read_text(encoding="utf-8")

    async def index(request: Request) -> HTMLResponse:
        del request
        return HTMLResponse(html, headers=HEADERS)

    async def about(request: Request) -> JSONResponse:
        del request
        return JSONResponse(facts(page), headers=HEADERS)

    async def play(websocket: WebSocket) -> None:
        if websocket.headers.get("origin") != f"http://{websocket.headers.get('host')}":
            await websocket.close(1008)  # another site's page
            return
        await websocket.accept()
        await run(websocket, page)

    routes = [Route("/", index), Route("/about", about), WebSocketRoute("/play", play)]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOST_NAMES)])


def facts(page: Page) -> dict[str, Any]:
    """Return what the page needs to know before the first step."""
    player = page.program.player
    keys, beliefs = keys_of(player.env), player.beliefs
    return {
        "env": player.name,
        "policy": page.policy,
        "speed": page.speed,
        "largestSpeed": LARGEST_SPEED,
        "labels": dict(keys.labels) if keys else {},
        "keys": dict(keys.keys) if keys else {},
        "turns": bool(keys and keys.turns),
        "seconds": keys.seconds if keys else 0,
        "trained": beliefs is not None,
        "unit": "lag" if beliefs is None else beliefs.unit,
        "std": [] if beliefs is None else [round(float(value), 5) for value in beliefs.std],
        "weights": [] if beliefs is None else [round(float(value), 5) for value in beliefs.weights],
    }


async def run(websocket: WebSocket, page: Page) -> None:
    """Play one game over a websocket until the page is left."""
    controls = Controls(Hands(keys_of(page.program.player.env)), float(page.speed))
    tasks = [
        asyncio.create_task(hear(websocket, controls)),
        asyncio.create_task(show(websocket, controls, await asyncio.to_thread(Game, page.program, page.seed))),
    ]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
            await task
    for task in done:
        with contextlib.suppress(WebSocketDisconnect):
            task.result()


async def hear(websocket: WebSocket, controls: Controls) -> None:
    """Obey the page; one that sends something else is cut off."""
    while True:
        text = await websocket.receive_text()
        try:
            controls.obey(json.loads(text), time.monotonic())
        except (ValueError, OverflowError):  # of JSON, or of ours
            await websocket.close(1007)
            return


async def show(websocket: WebSocket, controls: Controls, game: Game) -> None:
    """Step the game at its speed and send what is seen; the page has the last word through `controls`."""
    due, first = time.monotonic(), True
    while True:
        now = time.monotonic()
        if controls.restart:
            await asyncio.to_thread(game.restart)
            controls.restart, first = False, True
        controls.changed.clear()
        single = controls.steps > 0
        stands = controls.paused and not single and not first
        if stands or controls.hands.wait(now):
            await pause(controls, None if stands else controls.hands.until - now)
            due = time.monotonic()
            continue
        if not single and not controls.hands.fresh and now < due:
            await pause(controls, due - now)
            continue
        controls.steps = max(0, controls.steps - 1)
        first = False
        await websocket.send_bytes(await asyncio.to_thread(game.step, controls.hands.take(now)))
        due = max(due + 1 / controls.speed, time.monotonic() - 1 / controls.speed)


async def pause(controls: Controls, seconds: float | None) -> None:
    """Wait until the page sends something, or for that many seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(controls.changed.wait(), None if seconds is None else max(seconds, 0.001))
