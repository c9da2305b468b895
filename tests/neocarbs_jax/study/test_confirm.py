"""Confirming a front: fresh runs of its settings, which leave the study as it was."""

import math
import random

import pytest

from neocarbs_jax.cli import main
from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.study import Study
from neocarbs_jax.study.confirm import confirm

SPACE = SearchSpace(steps=Log(1, 1000), x=Linear(0, 1))

OBJECTIVE = """
def objective(values, trial):
    return values["steps"] + trial.replicate, values["steps"]
"""


def noisy(values, trial):
    draw = random.Random(f"{values} {trial.replicate}").gauss(0, 0.3)
    return math.log10(values["steps"]) + draw, values["steps"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = Study.create(SPACE, f"sqlite:///{tmp_path_factory.mktemp('confirm')}/sweep.db")
    study.run(noisy, num_trials=20)
    return study


def test_every_point_is_run_with_fresh_replicates_and_the_study_stays_as_it_was(study):
    before, seen = study.trials, []

    def objective(values, trial):
        seen.append((trial.number, trial.replicate))
        return noisy(values, trial)

    confirmed = confirm(study, objective, seeds=3, most=4)
    assert study.trials == before
    assert 1 < len(confirmed) <= 4
    assert len(seen) == 3 * len(confirmed) == len(set(seen))
    assert all(replicate >= 1 for _, replicate in seen)
    for point in confirmed:
        assert point.mean == pytest.approx(sum(point.scores) / 3)
        assert point.claimed == point.point.trial.score
        assert point.standard_error > 0


def test_confirming_twice_gives_the_same(study):
    assert confirm(study, noisy, seeds=2, most=2) == confirm(study, noisy, seeds=2, most=2)


def test_runs_that_fail_are_left_out_of_the_mean(study):
    def fails(values, trial):
        if trial.replicate % 2:
            raise FloatingPointError("diverged")
        return 1.0, 2.0

    [point, *_] = confirm(study, fails, seeds=4, most=1)
    assert sum(map(math.isnan, point.scores)) == 2
    assert point.mean == 1.0


@pytest.mark.parametrize("numbers", [{"seeds": 0}, {"most": 0}])
def test_numbers_out_of_range_are_refused(study, numbers):
    with pytest.raises(ValueError, match="must be at least 1; got 0"):
        confirm(study, noisy, **numbers)


def test_a_study_without_trials_has_nothing_to_confirm(tmp_path):
    assert confirm(Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db"), noisy) == []


def test_the_command_prints_what_was_claimed_expected_and_confirmed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.py").write_text(OBJECTIVE)
    study = Study.create(SPACE, "sqlite:///sweep.db")
    for index in range(4):
        study.add({"steps": 10.0**index, "x": 0.5}, 10.0**index, 10.0**index)
    main(["confirm", "sweep.db", "--objective", "task.py:objective", "--seeds", "2", "--points", "2"])
    printed = capsys.readouterr().out
    assert "2 fresh runs of each of" in printed
    assert "claimed" in printed


def test_an_objective_that_is_none_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as refusal:
        main(["confirm", "sweep.db", "--objective", "nowhere:objective"])
    assert refusal.value.code == 2
    assert "`objective` must read module:function" in capsys.readouterr().err


def test_what_was_confirmed_before_is_not_run_again(study):
    seen = []

    def objective(values, trial):
        seen.append(trial.replicate)
        return noisy(values, trial)

    told = []
    before = confirm(study, objective, seeds=2, most=2, on_point=told.append)
    assert told == before
    seen.clear()
    after = confirm(study, objective, seeds=3, most=2, earlier=[point.as_row() for point in before])
    assert len(seen) == len(after)
    assert after == confirm(study, noisy, seeds=3, most=2)
    assert confirm(study, noisy, seeds=1, most=2, earlier=[p.as_row() for p in after])[0].scores == after[0].scores[:1]


def test_fresh_runs_are_none_that_the_study_makes(study):
    replicates = []
    confirm(study, lambda values, trial: replicates.append(trial.replicate) or (1.0, 1.0), seeds=2, most=1)
    assert min(replicates) > 10_000
