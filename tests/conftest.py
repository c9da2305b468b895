"""Strict numerics for every test, compiled programs shared on disk, and the memory that they hold given back.

A PostgreSQL server and a browser are there for the tests that ask for one, where their programs are installed.

No test may promote dtypes or ranks silently, and warnings are errors (pyproject.toml).

`make test` and `make test-slow` give `--haste`: most programs compile for longer than they run.

A compiled program, however small, holds 1.5 MB until it is forgotten, and the suite compiles thousands. So they are
forgotten where a process has grown to `MEMORY_LIMIT`. What is needed again comes from JAX's persistent cache in
.pytest_cache, which all processes of a run share, those that tests start included; `pytest --cache-clear` empties it.
The summary of a run names the largest process.
"""

import ctypes
import gc
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OFFLINE = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
MEMORY_LIMIT = 2.0e9
CACHE_LIMIT = 0.5e9
CACHE_OPTIONS = {
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": 0,
    "jax_persistent_cache_enable_xla_caches": "none",
}

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

peaks = pytest.StashKey[list]()


def pytest_addoption(parser):
    parser.addoption("--haste", action="store_true", help="compile without optimisations, and nothing ahead of its use")


def pytest_configure(config):
    """Point this process, and all that it starts, at one cache of compiled programs; let them hear Ctrl-C."""
    config.stash[peaks] = []
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in `make test &`
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--haste"):
        compile_in_haste()
    if not hasattr(config, "cache"):  # -p no:cacheprovider
        return
    folder = config.cache.mkdir("jax")
    if not hasattr(config, "workerinput"):
        empty_if_large(folder)
    for name, value in {**CACHE_OPTIONS, "jax_compilation_cache_dir": str(folder)}.items():
        os.environ[name.upper()] = str(value)
        jax.config.update(name, value)


def compile_in_haste() -> None:
    """Compile without optimisations, in a fifth of the time, here and in all processes that tests start."""
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    jax.config.update("jax_disable_most_optimizations", True)
    if jax.__version_info__ < (0, 11):  # later ones have no fusion emitters to turn off
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_use_fusion_emitters=false"


def pytest_collection_finish(session):
    """Spare the collector what stays until the end, and studies the programs that they may need later.

    Few tests go on until a study needs what it compiles ahead; processes that tests start do compile it.
    """
    if session.config.getoption("--haste") and "neocarbs_jax.study.programs" in sys.modules:
        sys.modules["neocarbs_jax.study.programs"]._PROGRAMS.ahead = lambda key, make: None
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def empty_if_large(folder: Path) -> None:
    """Begin anew where programs of earlier versions of the code have piled up."""
    if sum(file.stat().st_size for file in folder.iterdir()) > CACHE_LIMIT:
        shutil.rmtree(folder)
        folder.mkdir()


@pytest.fixture
def as_shipped():
    """Compile as users do, under `--haste` too; what was compiled before stays as it is."""
    hasty = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", hasty)


@pytest.fixture(autouse=True)
def _forget_programs_of_a_large_process():
    yield
    if current_memory() > MEMORY_LIMIT:
        forget_programs()


def forget_programs() -> None:
    """Free all compiled programs; functions compile again, or load from the cache, when they are next called."""
    jax.clear_caches()
    if "neocarbs_jax.study.programs" in sys.modules:
        sys.modules["neocarbs_jax.study.programs"].forget()
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # glibc keeps what was freed


def current_memory() -> float:
    """Bytes that this process holds; 0 where the system does not tell."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * resource.getpagesize() if status.exists() else 0


def peak_memory() -> float:
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["peak_memory"] = peak_memory()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Of pytest-xdist: a worker has ended."""
    node.config.stash[peaks].append(getattr(node, "workeroutput", {}).get("peak_memory", 0))


def pytest_terminal_summary(terminalreporter, config):
    peak = max(config.stash[peaks], default=peak_memory())
    terminalreporter.write_line(f"peak memory of a process that ran tests: {peak / 1e9:.1f} GB")


def _server_programs() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def _run(*command: object) -> None:
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    subprocess.run(list(map(str, command)), check=True, capture_output=True, cwd="/", user=user, group=user)


@pytest.fixture(scope="session")
def postgres():
    """URL of a PostgreSQL server that is started for the tests."""
    programs = _server_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders are closed to other users
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _run(programs / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    _run(programs / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    _run(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def browser():
    """A Chromium that asks nobody on its own; tests skip where it or Playwright is missing."""
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield chromium
        chromium.close()
