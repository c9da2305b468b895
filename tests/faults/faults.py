"""Break real sweeps at random moments, and count what was lost or wrong.

    python tests/faults/faults.py --faults 200 --out experiments/results/faults.md

Each fault meets a worker process that runs a sweep of short trials. The worker notes in a file of its own what it
measured before it tells, and what it was told is kept. After the fault the next worker goes on. Then it must hold, for
the whole ledger:

lost:  a trial that the worker was told is kept is not in the ledger, or not with its score.
wrong: a completed trial that no worker measured, or twice; a row that still runs although its worker is gone; values
       that are not those which an uninterrupted sweep would have proposed after the rows before; a process left over.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WORKER = """
    import json, os, sys, time
    from neocarbs_jax.space import Choice, Log, SearchSpace
    from neocarbs_jax.study import Study

    storage, notes, num_trials = sys.argv[1], sys.argv[2], int(sys.argv[3])
    space = SearchSpace(rate=Log(1e-5, 1e-1), kind=Choice(("a", (1, 2), None)))

    def note(**what):
        with open(notes, "a") as file:
            file.write(json.dumps(what) + chr(10))

    def objective(values):
        time.sleep(0.02)
        if os.path.exists(notes + ".behave"):
            os.remove(notes + ".behave")
            misbehave()
        score = -values["rate"]
        note(measured=score)
        return score, 1.0 + values["rate"], {"curve": [score] * 5}

    def misbehave():
        print("\\x00\\xff garbage " * 1000)
        if os.fork() == 0:
            sys.exit(3)
        os.wait()
        time.sleep(3600)

    def told(trial):
        note(told=trial.number, status=trial.status, score=trial.score)

    study = Study.create(space, storage, strategy="random")
    note(started=os.getpid())
    study.run(objective, num_trials=num_trials, on_tell=told, time_limit=2)
"""
STEPS = 6
"""Trials that a worker may do before the next fault, at most."""


class Sweep:
    """A study under test, and the notes of its workers.

    Args:
        folder: of everything.
        storage: of the study.
    """

    def __init__(self, folder: Path, storage: str):
        self.folder, self.storage = folder, storage
        self.script, self.notes = folder / "worker.py", folder / "notes.jsonl"
        self.script.write_text(textwrap.dedent(WORKER))
        self.notes.touch()
        self.goal = 0

    def start(self) -> subprocess.Popen[bytes]:
        """Start a worker that does some trials more, and wait until it runs."""
        before = self.count("started")
        self.goal = max(self.goal, self.count("told")) + STEPS
        command = [sys.executable, self.script, self.storage, self.notes, str(self.goal)]
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        while self.count("started") == before and worker.poll() is None:
            time.sleep(0.01)
        return worker

    def read_notes(self) -> list[dict[str, Any]]:
        """What the workers noted; a line cut off by a kill is no note."""
        notes = []
        for line in self.notes.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                notes.append(json.loads(line))
        return notes

    def count(self, kind: str) -> int:
        """Number of notes of a kind."""
        return sum(kind in note for note in self.read_notes())

    def check(self) -> tuple[int, list[str]]:
        """Return the number of trials that were lost, and what is wrong."""
        from neocarbs_jax import sweep
        from neocarbs_jax.study import Study
        from neocarbs_jax.study.proposal import MIN_CAPACITY, propose

        study = Study.load(self.storage)  # releases what dead workers ran
        rows, notes = study.trials, self.read_notes()
        completed = [row for row in rows if row.status == "completed"]
        scores = {row.number: row.score for row in completed}
        told = [note for note in notes if "told" in note and note["status"] == "completed"]
        lost = sum(scores.get(note["told"]) != note["score"] for note in told)
        wrong = []
        measured = collections.Counter(note["measured"] for note in notes if "measured" in note)
        surplus = collections.Counter(row.score for row in completed) - measured
        wrong += [
            f"{number} completed trials of score {score} that nobody measured" for score, number in surplus.items()
        ]
        wrong += [f"trial {row.number} still runs" for row in rows if row.status == "running"]
        config = sweep.Config(study.space, capacity=MIN_CAPACITY, strategy="random")
        for row in rows[-3 * STEPS :]:
            earlier = [r for r in rows[: row.number] if r.status != "interrupted"]
            if row.status != "interrupted" and row.values != propose(config, earlier, 0).values:
                wrong.append(f"trial {row.number} is not what the rows before call for")
        study.close()
        return lost, wrong


def kill(sweep: Sweep, worker: subprocess.Popen[bytes], sent: signal.Signals) -> None:
    """Send a signal while it compiles or runs."""
    time.sleep(random.choice([random.uniform(0, 0.3), random.uniform(0, 2)]))
    worker.send_signal(sent)


def lock(sweep: Sweep, worker: subprocess.Popen[bytes]) -> None:
    """Keep the database locked for a while."""
    with contextlib.closing(sqlite3.connect(sweep.storage.removeprefix("sqlite:///"), timeout=10)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(random.uniform(0.1, 1.0))
        connection.rollback()


def drop(sweep: Sweep, worker: subprocess.Popen[bytes]) -> None:
    """Cut all connections to the server."""
    import psycopg

    time.sleep(random.uniform(0, 0.25))
    with psycopg.connect(sweep.storage) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


def fill(sweep: Sweep, worker: subprocess.Popen[bytes]) -> None:
    """Fill the disk for a while."""
    blocker = Path(sweep.storage.removeprefix("sqlite:///")).parent / "blocker"
    with contextlib.suppress(OSError), blocker.open("wb") as file:
        while True:
            file.write(b"x" * 65536)
            file.flush()
    time.sleep(random.uniform(0.2, 0.8))
    blocker.unlink()


def forbid(sweep: Sweep, worker: subprocess.Popen[bytes]) -> None:
    """Make the disk read-only for a while."""
    mount = Path(sweep.storage.removeprefix("sqlite:///")).parent
    done = subprocess.run(["mount", "-o", "remount,ro", mount], capture_output=True)
    while done.returncode and worker.poll() is None:  # busy while a transaction writes
        done = subprocess.run(["mount", "-o", "remount,ro", mount], capture_output=True)
    time.sleep(random.uniform(0.2, 0.8))
    subprocess.run(["mount", "-o", "remount,rw", mount], check=True)


def jump(sweep: Sweep, worker: subprocess.Popen[bytes]) -> None:
    """Let another process find all heartbeats overdue, as after a jump of the clock, and declare the trials dead."""
    from optuna.trial import TrialState

    from neocarbs_jax.study import Study

    time.sleep(random.uniform(0, 0.1))
    study = Study.load(sweep.storage)
    other = study.optuna_study
    for row in other.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        with contextlib.suppress(Exception):
            other._storage.set_trial_state_values(row._trial_id, TrialState.FAIL)
    study.close()


def misbehave(sweep: Sweep, worker: subprocess.Popen[bytes]) -> None:
    """Let the objective print what is no text, fork, and hang."""
    sweep.notes.with_name(sweep.notes.name + ".behave").touch()


Fault = Callable[[Sweep, "subprocess.Popen[bytes]"], None]
FAULTS: dict[str, dict[str, Fault]] = {
    "sqlite": {
        "SIGKILL": lambda s, w: kill(s, w, signal.SIGKILL),
        "SIGTERM": lambda s, w: kill(s, w, signal.SIGTERM),
        "SIGINT": lambda s, w: kill(s, w, signal.SIGINT),
        "locked": lock,
        "clock jumps": jump,
        "prints garbage, forks, hangs": misbehave,
    },
    "journal": {
        "SIGKILL": lambda s, w: kill(s, w, signal.SIGKILL),
        "SIGINT": lambda s, w: kill(s, w, signal.SIGINT),
    },
    "postgresql": {
        "SIGKILL": lambda s, w: kill(s, w, signal.SIGKILL),
        "connections cut": drop,
    },
    "small disk": {"disk full": fill, "read-only": forbid},
}


def storage_of(kind: str, folder: Path, stack: contextlib.ExitStack) -> str | None:
    """The storage of a kind; None where this machine cannot have it."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/sweep.db"
    if kind == "journal":
        return f"journal:///{folder}/sweep.log"
    if kind == "postgresql":
        return stack.enter_context(postgres()) if _server_programs() else None
    mount = folder / "disk"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mount], capture_output=True)
    if made.returncode:
        return None
    stack.callback(subprocess.run, ["umount", "-l", mount], capture_output=True)
    return f"sqlite:///{mount}/sweep.db"


def _server_programs() -> Path | None:
    found = shutil.which("initdb")
    return Path(found).parent if found else max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A server of its own, and its URL."""
    programs = _server_programs()
    assert programs
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root

    def run(*command: object) -> None:
        subprocess.run(list(map(str, command)), check=True, capture_output=True, cwd="/", user=user, group=user)

    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if user:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run(programs / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    run(programs / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        run(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def break_sweep(kind: str, faults: list[str], folder: Path) -> list[dict[str, Any]] | None:
    """Run a sweep on a storage of this kind through these faults; a row for each fault, None where it cannot be."""
    rows = []
    with contextlib.ExitStack() as stack:
        storage = storage_of(kind, folder, stack)
        if storage is None:
            return None
        sweep = Sweep(folder, storage)
        for fault in faults:
            worker = sweep.start()
            FAULTS[kind][fault](sweep, worker)
            try:
                worker.wait(timeout=90)
                orphan = False
            except subprocess.TimeoutExpired:
                orphan = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
                orphan = True
            worker.wait()
            lost, wrong = sweep.check()
            wrong += ["a process was left over"] if orphan else []
            rows.append({"storage": kind, "fault": fault, "lost": lost, "wrong": wrong})
        code = sweep.start().wait(timeout=90)  # and without a fault it goes on
        lost, wrong = sweep.check()
        wrong += [f"the last worker ended with {code}"] if code else []
        rows += [{"storage": kind, "fault": "", "lost": lost, "wrong": wrong, "trials": sweep.count("told")}]
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Faults, injected, lost, wrong, as Markdown."""
    lines = ["| storage | fault | injected | lost | wrong |", "| --- | --- | --- | --- | --- |"]
    for kind, fault in dict.fromkeys((row["storage"], row["fault"]) for row in rows if row["fault"]):
        these = [row for row in rows if (row["storage"], row["fault"]) == (kind, fault)]
        lost, wrong = max(row["lost"] for row in these), sum(bool(row["wrong"]) for row in these)
        lines.append(f"| {kind} | {fault} | {len(these)} | {lost} | {wrong} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    random.seed(args.seed)
    kinds = [(kind, fault) for kind, faults in FAULTS.items() for fault in faults]
    planned = [kinds[i % len(kinds)] for i in range(args.faults)]
    rows: list[dict[str, Any]] = []
    begin = time.monotonic()
    for kind in FAULTS:
        faults = [fault for each, fault in planned if each == kind]
        random.shuffle(faults)
        with tempfile.TemporaryDirectory() as folder:
            done = break_sweep(kind, faults, Path(folder))
        if done is None:
            print(f"{kind}: not on this machine")
            continue
        rows += done
        for row in done:
            for line in row["wrong"]:
                print(f"{kind}, {row['fault']}: {line}", flush=True)
    trials = sum(row.get("trials", 0) for row in rows)
    command = f"python tests/faults/faults.py --faults {args.faults} --seed {args.seed}"
    minutes = (time.monotonic() - begin) / 60
    measured = f"`{command}`; {time.strftime('%Y-%m-%d')}; {trials} trials told, {minutes:.0f} minutes."
    text = f"# Faults\n\n{measured}\n\n{table(rows)}"
    print(text)
    if args.out:
        args.out.write_text(text)
    sys.exit(any(row["lost"] or row["wrong"] for row in rows))


if __name__ == "__main__":
    main()
