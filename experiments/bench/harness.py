"""The harness of all benchmarks: a stamp, a Markdown table, a store that later runs merge into, paired timing.

Tables go to `RESULTS`, with records that later runs merge into. Records that no run reads again go to `RAW`, which git
ignores.
"""

import dataclasses
import datetime
import gzip
import importlib.metadata
import io
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image

RESULTS = Path("experiments/results")
RAW = Path("runs/bench")
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Stamp:
    """Where, when and with what something was measured.

    Attributes:
        command: The command line of this process.
        date: Day of the measurement, UTC.
        device: Kind of JAX's first device.
        machine: Architecture, usable cores, and processes that were waiting for them at the start.
        versions: Version of Python and of each package, "absent" where it is not installed.
    """

    command: str
    date: str
    device: str
    machine: str
    versions: dict[str, str]

    @property
    def environment(self) -> str:
        """Versions and device in one line."""
        return ", ".join([*(f"{name} {version}" for name, version in self.versions.items()), self.device])

    def __str__(self) -> str:
        return f"`{self.command}`; {self.date}; {self.environment}; {self.machine}."


def stamp(*packages: str) -> Stamp:
    """Describe this process; `packages` are named beside jax, jaxlib and numpy."""
    versions = {"python": platform.python_version()}
    for package in ("jax", "jaxlib", "numpy", *packages):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Stamp(
        command=command(),
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        device=jax.devices()[0].device_kind,
        machine=f"{platform.machine()}, {cores} cores, load {os.getloadavg()[0]:.1f}",
        versions=versions,
    )


def command() -> str:
    """The command line of this process, as a reader can repeat it from the repository."""
    spec = sys.modules["__main__"].__spec__
    program = ["-m", spec.name] if spec else [sys.argv[0]]
    return shlex.join(["python", *program, *sys.argv[1:]])


def page(title: str, measured: Stamp, *paragraphs: str) -> str:
    """A Markdown page: the title, the stamp, and the paragraphs that are not empty."""
    return "\n\n".join([f"# {title}", str(measured), *filter(None, paragraphs)]) + "\n"


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; None is an empty cell."""
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join('' if cell is None else str(cell) for cell in line)} |" for line in lines)


def write_text(file: Path, text: str) -> None:
    """Write a file and the folders above it; a kill while writing leaves the file before it."""
    write_bytes(file, text.encode())


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file and the folders above it; a kill while writing leaves the file before it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".tmp")
    draft.write_bytes(content)
    draft.replace(file)


def save_figure(figure: Figure, file: Path) -> None:
    """Write a figure as a PNG of 256 colours, a third of the size of one with all."""
    whole, small = io.BytesIO(), io.BytesIO()
    figure.savefig(whole, format="png", dpi=80)
    Image.open(whole).convert("RGB").quantize(256).save(small, format="png", optimize=True)
    write_bytes(file, small.getvalue())


def write_record(file: Path, measured: Stamp, **content: object) -> None:
    """Write a JSON document that no later run reads, with its stamp."""
    write_text(file, json.dumps({"stamp": dataclasses.asdict(measured), **content}, indent=1) + "\n")


class Store:
    """Rows of earlier runs in one JSON file, gzipped where its name ends in .gz.

    Args:
        file: Where they are kept; it need not exist.
        key_fn: A row's key; a new row takes the place of all earlier rows of the same key.
    """

    def __init__(self, file: Path, key_fn: Callable[[Row], Hashable]) -> None:
        self.file, self.key_fn = file, key_fn
        self.rows: list[Row] = json.loads(_unpack(file)) if file.exists() else []

    def merge(self, new: Sequence[Row]) -> list[Row]:
        """Add rows, write the file and return all rows, the new ones last."""
        replaced = {self.key_fn(row) for row in new}
        self.rows = [row for row in self.rows if self.key_fn(row) not in replaced] + list(new)
        text = "[\n" + ",\n".join(json.dumps(row) for row in self.rows) + "\n]\n"
        # No time stamp: the same rows are the same bytes.
        write_bytes(self.file, gzip.compress(text.encode(), mtime=0) if self.file.suffix == ".gz" else text.encode())
        return self.rows


def _unpack(file: Path) -> bytes:
    content = file.read_bytes()
    return gzip.decompress(content) if file.suffix == ".gz" else content


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of each timed round of one call.

    Attributes:
        wall: Wall time.
        cpu: Processor time over all cores, which other programs disturb less.
        results: What the call returned.
    """

    wall: Float[np.ndarray, " rounds"]
    cpu: Float[np.ndarray, " rounds"]
    results: list[Any]


def time_in_turns(calls: Mapping[str, Callable[[int], Any]], rounds: int, warm_up: int = 1) -> dict[str, Timing]:
    """Time calls in turns within each round, so that other load on the machine meets all of them alike.

    Args:
        calls: Name -> function of the number of the round, which waits for its own arrays.
        rounds: Timed rounds.
        warm_up: Rounds before them that are not timed; rounds are numbered from the first of these.
    """
    wall, cpu = ({name: np.zeros(warm_up + rounds) for name in calls} for _ in range(2))
    results: dict[str, list[Any]] = {name: [] for name in calls}
    for turn in range(warm_up + rounds):
        for name, call in calls.items():
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            results[name].append(call(turn))
            wall[name][turn] = time.perf_counter() - wall_start
            cpu[name][turn] = time.process_time() - cpu_start
    return {name: Timing(wall[name][warm_up:], cpu[name][warm_up:], results[name][warm_up:]) for name in calls}
