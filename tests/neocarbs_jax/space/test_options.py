"""Listed options: in an order or in none; numbers among them stay numbers, in memory, in a storage and in files."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import Choice, Ordinal, SearchSpace, Study
from neocarbs_jax import space as spaces
from neocarbs_jax.adapters.csv_file import import_csv
from neocarbs_jax.report.report import write_csv

SIZES = (32, 64, 128)
SPACE = SearchSpace(batch=Ordinal(SIZES), size=Ordinal(("small", "medium", "large")), rate=Choice((1, 2.5)))


def test_ordered_options_are_ranks_at_equal_distances():
    points = [Ordinal(SIZES).to_unit(np.asarray(index)) for index in range(3)]
    np.testing.assert_allclose(points, [1 / 6, 1 / 2, 5 / 6], rtol=1e-12)
    assert SearchSpace(batch=Ordinal(SIZES)).from_unit(np.array([0.34])) == {"batch": 64}
    assert SPACE.size == 1 + 1 + 2


def test_a_sweep_starts_at_the_middle_of_an_order_and_at_the_first_of_a_choice():
    assert SPACE.from_unit(SPACE.center) == {"batch": 64, "size": "medium", "rate": 1}
    four = SearchSpace(x=Ordinal((1, 2, 3, 4)), y=Ordinal((1, 2, 3, 4), center=4))
    assert four.from_unit(four.center) == {"x": 2, "y": 4}


def test_traced_values_are_the_numbers_or_the_rank_and_snap_is_exact():
    unit = jnp.array([[0.1, 0.5, 1.0, 0.0], [0.99, 0.99, 0.0, 1.0]])
    values = jax.jit(SPACE.from_unit)(unit)
    assert values["batch"].tolist() == [32, 128]
    assert values["size"].tolist() == [1, 2]
    assert values["rate"].tolist() == [1.0, 2.5]
    np.testing.assert_allclose(SPACE.to_unit(values), SPACE.snap(unit), rtol=1e-6)


def test_numbers_stay_numbers_through_storage_and_files(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/a.db", strategy="random", compilation_cache=False)
    values = {"batch": 128, "size": "large", "rate": 1}
    study.add(values, 1.0, 2.0)
    [trial] = study.ask()
    study.tell(trial, 0.5, 1.0)
    again = Study.load(f"sqlite:///{tmp_path}/a.db", compilation_cache=False)
    assert again.space == SPACE
    assert again.trials[0].values == values
    assert {type(again.trials[0].values[name]) for name in ("batch", "rate")} == {int}
    write_csv(tmp_path / "trials.csv", again.trials)
    other = Study.create(SPACE, f"sqlite:///{tmp_path}/b.db", strategy="random", compilation_cache=False)
    assert import_csv(other, tmp_path / "trials.csv").added == 2
    assert [t.values for t in other.trials] == [t.values for t in again.trials]
    with (tmp_path / "trials.csv").open() as file:
        assert next(iter(csv.DictReader(file)))["batch"] == "128"


def test_a_space_with_an_order_is_described_in_toml(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text('[batch]\ntype = "ordinal"\noptions = [32, 64, 128]\ncenter = 128\n')
    assert spaces.from_toml(file) == SearchSpace(batch=Ordinal(SIZES, center=128))
    assert spaces.from_dict(spaces.to_dict(SPACE)) == SPACE


@pytest.mark.parametrize("options", [(), (1,), (1, 1), "ab", ([{}], 2)])
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match="`options` must"):
        Ordinal(options)
