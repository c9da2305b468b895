"""Trials of a study that go on from the checkpoints of others: who is whose parent, and what each has paid."""

import csv
import json
import math
import re

import numpy as np
import pytest

from neocarbs_jax import cli, sweep
from neocarbs_jax.report import report
from neocarbs_jax.space import Choice, Linear, Log, SearchSpace
from neocarbs_jax.study import Study, lineage, proposal, rows
from neocarbs_jax.study.confirm import confirm
from neocarbs_jax.study.stopping import fits, remaining
from neocarbs_jax.study.trials import Trial

SPACE = SearchSpace(steps=Log(1, 1000), x=Linear(0, 1), kind=Choice(["sgd", "adam"]))
OPTIONS = {"budget": "steps", "continues": True}
SHARE = 0.9  # of a training until its checkpoint


class Trainings:
    """Trainings that write a checkpoint after `SHARE` of their steps, and go on from those of others."""

    def __init__(self):
        self.checkpoints, self.seen, self.url = {}, [], None

    def __call__(self, values, trial):
        done = 0.0
        if trial.parent is not None:
            before, done = self.checkpoints[trial.parent]
            assert before == {name: value for name, value in values.items() if name != "steps"}
        self.seen.append((trial.number, trial.parent, done))
        kept = {name: value for name, value in values.items() if name != "steps"}
        self.checkpoints[trial.number] = kept, SHARE * values["steps"]
        own = values["steps"] - done
        score = math.log10(values["steps"]) - (values["x"] - 0.3) ** 2
        return score, own, {"checkpoint_cost": own - (1 - SHARE) * values["steps"]}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/sweep.db"


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A study of 24 trials, half of them by a second object that resumed it, and its trainings."""
    url = f"sqlite:///{tmp_path_factory.mktemp('swept')}/sweep.db"
    trainings = Trainings()
    trainings.url = url
    Study.create(SPACE, url, seed=1, **OPTIONS).run(trainings, num_trials=12)
    study = Study.load(url)
    study.run(trainings, num_trials=24)
    return study, trainings


def test_trials_go_on_from_others_and_pay_the_difference(swept):
    study, trainings = swept
    trials = study.trials
    went_on = [trial for trial in trials if trial.parent is not None]
    assert len(went_on) >= 4
    assert [(t.number, t.parent) for t in trials] == [(number, parent) for number, parent, _ in trainings.seen]
    for trial in trials:
        assert trial.cost == pytest.approx(trial.values["steps"])  # of the whole training
        assert trial.checkpoint_cost == pytest.approx(SHARE * trial.values["steps"])
    for trial in went_on:
        parent = trials[trial.parent]
        assert trial.inherited == parent.checkpoint_cost
        assert trial.paid == pytest.approx(trial.values["steps"] - SHARE * parent.values["steps"])
        assert {**trial.values, "steps": 0} == {**parent.values, "steps": 0}  # to the last digit


def test_the_lineage_survives_a_new_connection(swept):
    study, _ = swept
    again = Study.load(study.optuna_study._storage, name=study.name)
    assert [(t.parent, t.inherited, t.checkpoint_cost) for t in again.trials] == [
        (t.parent, t.inherited, t.checkpoint_cost) for t in study.trials
    ]


def test_a_resumed_study_proposes_what_it_would_have(url):
    whole, cut = Trainings(), Trainings()
    one = Study.create(SPACE, url, name="one", seed=1, **OPTIONS)
    one.run(whole, num_trials=14)
    Study.create(SPACE, url, name="two", seed=1, **OPTIONS).run(cut, num_trials=9)
    two = Study.load(url, name="two")
    two.run(cut, num_trials=14)
    assert [(t.values, t.parent) for t in one.trials] == [(t.values, t.parent) for t in two.trials]


def test_reports_and_tables_show_the_lineage(swept, tmp_path):
    study, _ = swept
    report.write(tmp_path, study.trials, study.log_axes, title="lines", expected=study.expected_front)
    with (tmp_path / "trials.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["parent"] for row in table] == ["" if t.parent is None else str(t.parent) for t in study.trials]
    assert [float(row["paid"]) for row in table] == pytest.approx([t.paid for t in study.trials])
    frame = study.trials_dataframe()
    assert frame["paid"].sum() == pytest.approx(sum(t.paid for t in study.trials))
    assert "<th>parent</th>" in (tmp_path / "report.html").read_text()


def test_a_study_without_continuations_has_no_column_of_them(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db")
    study.add({"steps": 10.0, "x": 0.5, "kind": "sgd"}, 1.0, 10.0)
    report.write_csv(tmp_path / "trials.csv", study.trials)
    assert "parent" not in (tmp_path / "trials.csv").read_text()


def asked_to_go_on(study):
    """Ask until a suggestion has a parent; tell the others at once."""
    for _ in range(30):
        [trial] = study.ask()
        if trial.parent is not None:
            return trial
        steps = trial.values["steps"]
        study.tell(trial, math.log10(steps) - (trial.values["x"] - 0.3) ** 2, steps, checkpoint_cost=SHARE * steps)
    raise AssertionError("nothing goes on")


def test_a_trial_that_misses_its_checkpoint_starts_afresh_and_nobody_else_goes_on_from_there(url):
    study = Study.create(SPACE, url, seed=1, **OPTIONS)
    trial = asked_to_go_on(study)
    trial.start_afresh()
    told = study.tell(trial, 2.0, trial.values["steps"], checkpoint_cost=1.0)
    assert (told.parent, told.lost_parent, told.inherited) == (None, trial.parent, 0.0)
    assert told.cost == told.paid == trial.values["steps"]
    assert told.checkpoint_cost == 1.0
    assert lineage.checkpoints(study.trials)[trial.parent] == 0.0
    assert lineage.runs(study.trials)[told.number] == told.number


def test_a_dropped_checkpoint_is_no_parent(url):
    study = Study.create(SPACE, url, seed=1, **OPTIONS)
    trial = asked_to_go_on(study)
    study.interrupt(trial)
    for number in np.arange(len(study.trials)):  # its whole numbers are no int
        study.drop_checkpoint(number)
    assert lineage.checkpoints(study.trials) == [0.0] * len(study.trials)
    assert lineage.checkpoints(Study.load(url).trials) == [0.0] * len(study.trials)
    assert all(asked.parent is None for asked in study.ask(3))


def test_two_workers_may_go_on_from_the_same_trial(url):
    study, other = Study.create(SPACE, url, seed=1, **OPTIONS), Study.create(SPACE, url, **OPTIONS)
    first = asked_to_go_on(study)
    row = other.trials[first.number]
    assert (row.parent, row.inherited) == (first.parent, first.inherited)
    other.tell(first, 2.0, 3.0)  # by another process than that which asked
    told = study.trials[first.number]
    assert told.cost == pytest.approx(3.0 + first.inherited)
    second = asked_to_go_on(other)
    third = asked_to_go_on(study)
    parents = {trial.parent for trial in (first, second, third)}
    assert None not in parents
    for trial, teller in ((second, study), (third, other)):
        assert teller.tell(trial, 2.0, 3.0).paid == pytest.approx(3.0)


def test_a_curve_and_a_report_of_a_continuation_are_at_the_cost_of_the_whole(url):
    study = Study.create(SPACE, url, seed=1, **OPTIONS)
    trial = asked_to_go_on(study)
    steps = trial.values["steps"]
    trial.report(1.0, 2.0, budget=0.9 * steps)
    assert study.trials[trial.number].attrs["curve"] == [[0.9 * steps, 1.0, trial.inherited + 2.0]]
    told = study.tell(trial, 2.0, 4.0, curve=[(0.8 * steps, 1.5, 3.0)])
    assert told.attrs["curve"] == [[0.8 * steps, 1.5, trial.inherited + 3.0]]


def test_a_continuation_that_fails_has_paid_its_own_part(url):
    study = Study.create(SPACE, url, seed=1, **OPTIONS)
    trial = asked_to_go_on(study)
    failed = study.fail(trial, "diverged", cost=2.0)
    assert failed.cost == pytest.approx(trial.inherited + 2.0)
    assert failed.paid == pytest.approx(2.0)


def test_a_budget_counts_what_is_paid():
    ended = [
        Trial(0, {}, "completed", 1.0, 10.0),
        Trial(1, {}, "completed", 1.0, 15.0, parent=0, inherited=9.0),
    ]
    assert remaining(ended, 20.0) == 4.0
    longer = Trial(2, {}, "running", predicted_cost=15.0, predicted_cost_std=1e-6, parent=0, inherited=12.0)
    assert fits(longer, [], 4.0, 0.05)
    assert not fits(longer, [longer], 4.0, 0.05)


def test_rows_of_a_line_are_one_run():
    def trial(number, steps, **more):
        return Trial(number, {"steps": steps, "x": 0.5, "kind": "sgd"}, "completed", 1.0, steps, **more)

    curve = {"curve": [(25.0, 0.5, 24.0)]}
    trials = [trial(0, 10.0, checkpoint_cost=9.0), trial(1, 20.0), trial(2, 30.0, parent=0, inherited=9.0)]
    trials += [trial(3, 50.0, parent=2, attrs=curve)]
    found = rows.collect(sweep.Config(SPACE, **OPTIONS), trials, rows.Memory(), {})
    assert found.run.tolist() == [0, 1, 0, 0, 0]
    np.testing.assert_array_equal(found.checkpoint, [9.0, 0.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(found.inherited, [0.0, 0.0, 9.0, 24.0, 0.0])  # a point of a curve pays nothing itself
    state = rows.restore(sweep.Config(SPACE, capacity=8, **OPTIONS), found, 4)
    np.testing.assert_array_equal(state.observations.inherited[:5], found.inherited)


def test_what_is_confirmed_starts_afresh(swept):
    study, _ = swept
    assert any(point.trial.parent is not None for point in study.expected_front)
    ran = []
    confirm(study, lambda values, trial: (ran.append(trial), (1.0, 2.0))[1], seeds=1)
    assert {(t.parent, t.inherited, t.lost_parent, t.checkpoint_cost) for t in ran} == {(None, 0.0, None, None)}


@pytest.mark.parametrize(
    ("space", "goes_on"),
    [
        (SPACE, True),
        (SearchSpace(steps=Log(1, 1000), x=Linear(0, 1)), False),  # `kind` is gone
        (SearchSpace(steps=Log(1, 1000), x=Linear(0, 1), kind="sgd"), True),
        (SearchSpace(steps=Log(1, 1000), x=Linear(0, 1), kind="adam"), False),
        (SearchSpace(steps=Log(1, 1000), x=Linear(0, 1), kind=SPACE.axis_of["kind"], depth=Linear(0, 1)), False),
    ],
)
def test_a_trial_goes_on_only_as_the_study_would_train_now(space, goes_on):
    parent = Trial(0, {"steps": 10.0, "x": 0.5, "kind": "sgd"}, "completed", 1.0, 10.0, checkpoint_cost=9.0)
    unit = np.array(space.center)
    unit[space.slices["steps"]] = 0.9
    longer = proposal._longer(sweep.Config(space, **OPTIONS), unit, parent, {})
    assert (longer is not None) == goes_on
    if longer is not None:
        assert {**longer, "steps": 10.0} == parent.values
        assert longer["steps"] > 50


def test_an_objective_that_tells_nonsense_of_its_checkpoint_keeps_its_result(url):
    study = Study.create(SPACE, url, **OPTIONS)
    with pytest.warns(UserWarning, match="`checkpoint_cost` must be positive and at most the cost, 2; got 3"):
        [trial] = study.run(lambda values: (1.0, 2.0, {"checkpoint_cost": 3.0}), num_trials=1)
    assert (trial.status, trial.checkpoint_cost) == ("completed", None)


@pytest.mark.parametrize("checkpoint_cost", [0.0, -1.0, math.inf, 2.5])
def test_a_checkpoint_costs_something_and_at_most_the_run(url, checkpoint_cost):
    study = Study.create(SPACE, url, **OPTIONS)
    [trial] = study.ask()
    rule = f"`checkpoint_cost` must be positive and at most the cost, 2; got {checkpoint_cost}."
    with pytest.raises(ValueError, match=rule):
        study.tell(trial, 1.0, 2.0, checkpoint_cost=checkpoint_cost)


def test_bad_use_is_refused(url):
    study = Study.create(SPACE, url, **OPTIONS)
    [trial] = study.ask()
    with pytest.raises(
        ValueError, match=r"`trial` must be one that goes on from another; got trial 0, without parent."
    ):
        trial.start_afresh()
    with pytest.raises(ValueError, match=r"`trial` must be one of the study's 1; got 7."):
        study.drop_checkpoint(7)
    with pytest.raises(ValueError, match=r"`trial` must be one that has ended; got trial 0, running."):
        study.drop_checkpoint(trial)
    with pytest.raises(ValueError, match=r"`budget` must name an axis where `continues` is given; got None."):
        Study.create(SPACE, url, name="other", continues=True)


def test_what_another_tool_wrote_under_our_name_is_no_lineage(url):
    study = Study.create(SPACE, url)
    study.add({"steps": 10.0, "x": 0.5, "kind": "sgd"}, 1.0, 10.0, attrs={"continuation": "x", "checkpoint_cost": "y"})
    [trial] = study.trials
    assert (trial.parent, trial.checkpoint_cost) == (None, None)
    assert trial.attrs == {"continuation": "x", "checkpoint_cost": "y"}


def test_commands_show_the_lineage(swept, capsys):
    study, trainings = swept
    url = trainings.url
    cli.main(["show", url])
    assert re.search(r"trial +status +score +cost +parent +paid", capsys.readouterr().out)
    cli.main(["show", url, "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert [(row["parent"], row["paid"]) for row in shown] == [(t.parent, t.paid) for t in study.trials]
    cli.main(["front", url, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [p["parent"] for p in told["expected"]] == [study.trials[p["trial"]].parent for p in told["expected"]]
    cli.main(["front", url])
    assert any(t.parent is not None for t in study.front) == ("parent" in capsys.readouterr().out)
