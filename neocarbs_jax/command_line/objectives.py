"""What a study runs: a program or a Python function, as the command line names it and as a study keeps it."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro

from neocarbs_jax.programs import Program, Reading, template
from neocarbs_jax.report.lookup import import_function
from neocarbs_jax.report.outputs import folder_name
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.results import with_trial

ATTRIBUTE = "objective"
"""Of the study: what its trials run, so that a worker need not be told."""

_MEGABYTE = 1_000_000


@dataclasses.dataclass(kw_only=True)
class Objective:
    """Options that say what a trial runs, and how its result is read."""

    command: str | None = None
    """Program to run, with placeholders for values, as in "python train.py --lr {lr} --steps {steps}". The values are
    in environment variables too: NEOCARBS_VALUES (JSON), NEOCARBS_VALUE_LR; and NEOCARBS_TRIAL, NEOCARBS_REPLICATE,
    NEOCARBS_FOLDER. The last line of its output that is a JSON object gives score and cost, as in
    {"score": 0.93, "cost": 61}. Without a cost, the seconds that it took are the cost."""
    objective: Annotated[str | None, tyro.conf.arg(metavar="FUNCTION")] = None
    """Python function in place of a program, as module:function or file.py:function."""
    score: Annotated[str, tyro.conf.arg(metavar="KEY")] = "score"
    """Key of the score in the JSON."""
    cost: Annotated[str, tyro.conf.arg(metavar="KEY")] = "cost"
    """Key of the cost in the JSON."""
    result_file: str | None = None
    """JSON file that the program writes instead, in the folder {folder} of the trial."""
    score_regex: str | None = None
    """Regular expression for the score in the output, with the number in parentheses; the last match counts."""
    cost_regex: str | None = None
    """Regular expression for the cost."""
    time_limit: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Longest a trial may take; one that takes longer has failed."""
    memory_limit: Annotated[float | None, tyro.conf.arg(metavar="MEGABYTES")] = None
    """Most resident memory of a trial's processes together; Linux only."""

    @property
    def given(self) -> dict[str, Any] | None:
        """What is kept with the study; None where neither a program nor a function is named.

        Raises:
            ValueError: Both are, or one of them can be none.
        """
        if self.objective is not None:
            import_function("objective", self.objective)
        if self.command is not None:
            template.split(self.command)
        if self.command is not None and self.objective is not None:
            raise ValueError("`command` must be left out where `objective` is given; got both.")
        if self.command is None and self.objective is None:
            return None
        names = [field.name for field in dataclasses.fields(Objective)]
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def remember(study: Study, given: Mapping[str, Any]) -> None:
    """Keep with a study what its trials run, for its workers."""
    study.optuna_study.set_user_attr(ATTRIBUTE, dict(given))


@dataclasses.dataclass(frozen=True)
class Imported:
    """A function by its name, imported where it is called: another machine has its own copy of the module."""

    text: str

    def __call__(self, values: Mapping[str, Any], trial: Trial) -> Any:
        """Call it, with the trial as well if it names it."""
        return with_trial(import_function("objective", self.text))(trial)


def resolve(
    study: Study, given: Mapping[str, Any] | None, folder: Path | None, *, elsewhere: bool = False
) -> Callable[..., Any]:
    """Return the objective that the command line names, or else the one kept with the study.

    A program that runs elsewhere needs no accelerator here: the tuner then leaves it to the program.

    Args:
        study: Whose trials are run.
        given: `Objective.given`.
        folder: Of what programs print; by default runs/NAME/trials.
        elsewhere: Whether it is to be sent to other processes.

    Raises:
        ValueError: Neither names one, or it is none.
    """
    chosen = given or study.optuna_study.user_attrs.get(ATTRIBUTE)
    if chosen is None:
        raise ValueError(f"`command` or `objective` must be given: study {study.name!r} keeps none; got neither.")
    if "objective" in chosen:
        function = import_function("objective", chosen["objective"])
        return Imported(chosen["objective"]) if elsewhere else function
    jax.config.update("jax_platforms", "cpu")
    memory = chosen.get("memory_limit")
    reading = {name: chosen.get(name) for name in ("score", "cost", "score_regex", "cost_regex")}
    program = Program(
        chosen["command"],
        (folder or default_folder(study.name) / "trials").absolute(),
        Reading(file=chosen.get("result_file"), **{k: v for k, v in reading.items() if v is not None}),
        chosen.get("time_limit"),
        None if memory is None else memory * _MEGABYTE,
    )
    program.check([*study.space.names, *dict(study.space.fixed)])  # a placeholder of no value would be left out
    return program


def default_folder(name: str) -> Path:
    """Return the folder of a study's report and of its programs' outputs."""
    return Path("runs") / folder_name(name)
