"""Whatever comes in from outside, spaces, TOML, URLs, CSV, is taken or refused by a ValueError, and nothing else."""

import contextlib
import math
import os
import string
from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from neocarbs_jax import space as spaces
from neocarbs_jax.adapters.csv_file import import_csv
from neocarbs_jax.space import Choice, Integer, Linear, Log, SearchSpace
from neocarbs_jax.study import Study
from neocarbs_jax.study.results import plain, read_result
from neocarbs_jax.study.storages import open_storage

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = st.one_of(st.integers(-(10**20), 10**20), st.floats(), st.booleans())
SCALARS = st.one_of(NUMBERS, st.text(max_size=5), st.none())
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
)
KINDS = st.sampled_from(["linear", "log", "logit", "integer", "pow2", "choice", "other", 3])
FIELDS = st.sampled_from(["type", "low", "high", "center", "width", "step", "log", "options", "unknown"])
AXES = st.dictionaries(FIELDS, st.one_of(SCALARS, KINDS, st.lists(SCALARS, max_size=4)), max_size=6)


@FUZZ
@given(st.dictionaries(st.text(max_size=4), st.one_of(AXES, TREES), max_size=3))
@example({"a": {"type": "integer", "low": math.inf, "high": 3}})
@example({"a": {"type": "linear", "low": "1", "high": 3}})
@example({"a": {"type": "choice", "options": 7}})
@example({"a": {"type": "choice", "options": "ab"}})
@example({"a": {"type": "choice", "options": [math.nan, 1]}})
@example({"a": {"type": "pow2", "low": 2.5, "high": True}})
@example({"a": {"type": "linear", "low": -1e308, "high": 1e308}})
@example({"self": {"type": "linear", "low": 0, "high": 1}})
def test_a_description_is_a_space_or_a_value_error(tree):
    with contextlib.suppress(ValueError):
        space = spaces.from_dict(tree)
        values = space.from_unit(space.center)
        space.validate(values)
        assert set(spaces.to_optuna(space)) == set(space.names)


@FUZZ
@given(st.one_of(st.binary(max_size=80), st.text(string.printable, max_size=80).map(str.encode)))
def test_a_toml_file_is_a_space_or_a_value_error(tmp_path, content):
    file = tmp_path / "space.toml"
    file.write_bytes(content)
    with contextlib.suppress(ValueError):
        spaces.from_toml(file)


PARTS = st.sampled_from(
    [
        "sqlite",
        "postgresql",
        "journal",
        "redis",
        "mysql+pymysql",
        "://",
        ":///",
        "/",
        "..",
        "@",
        ":",
        "?",
        "=",
        "a.db",
        "a.log",
        "%",
        "\0",
        " ",
    ]
)


@FUZZ
@given(st.one_of(st.text(max_size=12), st.lists(PARTS, max_size=6).map("".join)))
@example("sqlite:///?timeout=x")
@example("sqlite:///a.db?timeout=x")
@example("sqlite:///..")
@example("postgresql://u:p@127.0.0.1:1/db")
@example("redis://127.0.0.1:1")
@example("a\0b.db")
def test_a_url_is_a_storage_or_a_value_error_and_nothing_is_written_elsewhere(tmp_path, url):
    home = tmp_path / "here"
    home.mkdir(exist_ok=True)
    if url.startswith(("sqlite:////", "journal:////", "/")) or ".." in url:
        return  # paths that the user chose outside this folder
    before = os.getcwd()
    os.chdir(home)
    try:
        with contextlib.suppress(ValueError):
            storage = open_storage(url)
            storage.remove_session()
    finally:
        os.chdir(before)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


SPACE = SearchSpace(rate=Log(1e-5, 1e-1), epochs=Integer(1, 8), kind=Choice(("a", (1, 2), None)))
CELLS = st.one_of(
    st.sampled_from(["1", "1e-3", "nan", "-inf", "a", "[1, 2]", "", "failed", "1e999"]), st.text(max_size=4)
)


@pytest.fixture(scope="module")
def study():
    return Study.create(SPACE, optuna.storages.InMemoryStorage(), strategy="random", compilation_cache=False)


@FUZZ
@given(st.lists(st.lists(CELLS, max_size=6), max_size=5))
def test_a_csv_file_is_trials_or_a_value_error(tmp_path, study, rows):
    file = tmp_path / "past.csv"
    lines = ["rate,epochs,kind,score,cost", *(",".join(row) for row in rows)]
    file.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    with contextlib.suppress(ValueError):
        imported = import_csv(study, file)
        assert imported.added + len(imported.skipped) >= 0
    for trial in study.trials:
        assert trial.status in ("completed", "failed")


@FUZZ
@given(st.one_of(TREES, st.tuples(TREES, TREES), st.tuples(NUMBERS, NUMBERS, TREES), st.binary(), st.builds(object)))
def test_what_an_objective_returns_is_a_result_or_a_type_error(returned):
    with contextlib.suppress(TypeError):
        result = read_result(returned)
        assert result.flaw is None or isinstance(result.flaw, str)
        kept, complaints = plain(result.attrs)
        assert len(kept) + len(complaints) >= min(1, len(result.attrs))


@FUZZ
@given(st.dictionaries(st.sampled_from([*SPACE.names, "other"]), SCALARS, max_size=4))
def test_values_have_a_place_or_none(values):
    place = SPACE.place(values)
    assert place is None or (place.shape == (SPACE.size,) and all(map(math.isfinite, place.tolist())))


@FUZZ
@given(st.floats(0, 1), st.integers(1, 40), st.floats(-100, 100))
def test_every_level_of_a_stepped_axis_is_one_of_optunas(unit, num_steps, low):
    """Of a step with a few decimal places, as people write them."""
    low, step = round(low, 2), round(0.05 * num_steps, 2)
    axis = Linear(low, round(low + 7.3 * step, 3), step=step)
    space = SearchSpace(x=axis)
    distribution = spaces.to_optuna(space)["x"]
    value = space.from_unit([unit])["x"]
    assert distribution._contains(distribution.to_internal_repr(value)), (axis, value)


def test_no_file_is_left_by_the_fuzz():
    assert list(Path().glob("*.db")) == []
