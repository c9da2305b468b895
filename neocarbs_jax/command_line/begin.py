"""The command `new`: begin a search space, from nothing or from that of another tuner."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import optuna
import tyro
import yaml
from rich.console import Console

from neocarbs_jax.adapters.spaces import ImportedSpace, from_configspace, from_optuna, from_wandb
from neocarbs_jax.adapters.spaces.wandb_sweep import load_yaml
from neocarbs_jax.command_line.common import say
from neocarbs_jax.report.lookup import storage_url, study_names
from neocarbs_jax.space import to_toml
from neocarbs_jax.study import ledger

TEMPLATE = """\
# What is searched. A table with `type` is an axis; anything else is a value that every trial gets.
# Types: log (positive numbers), linear, logit (between 0 and 1), integer, pow2 (powers of two), choice, ordinal (a
# choice whose options have an order).
# Then: neocarbs run --space {file} --command "python train.py --lr {{lr}} --steps {{steps}}" --trials 50

[lr]
type = "log"
low = 1e-5
high = 1e-1
center = 1e-3     # optional: where the search starts

[steps]           # one axis should decide what a trial costs
type = "log"
low = 1e3
high = 1e6
center = 1e4

# [optimizer]
# type = "choice"
# options = ["adam", "sgd"]
#
# [momentum]        # only where the optimizer is sgd; elsewhere it is absent
# type = "linear"
# low = 0.5
# high = 0.99
# when = {{ optimizer = "sgd" }}
#
# Above all tables may stand: constraints = ["minibatch <= batch"]
"""


@dataclasses.dataclass
class New:
    """Write a file that describes a search space, to be edited."""

    file: Annotated[Path, tyro.conf.Positional] = Path("space.toml")
    """Where to write it; nothing is overwritten."""
    source: Annotated[str | None, tyro.conf.arg(name="from", metavar="FILE")] = None
    """Space of another tuner: a W&B sweep (YAML or JSON), a ConfigSpace (YAML or JSON), or the storage of an Optuna
    study, as study.db or study.db#NAME."""

    def run(self, console: Console) -> None:
        if self.file.exists():
            raise ValueError(f"`file` must not exist yet; got {str(self.file)!r}.")
        text = TEMPLATE.format(file=self.file) if self.source is None else described(read(self.source), self.file)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(text, encoding="utf-8")
        say(console)(f"Wrote {self.file}. Edit it; its first lines say how to go on.")


def described(found: ImportedSpace, file: Path) -> str:
    """Return an imported space as the text of a TOML file, after comments that say how to go on and what is lost."""
    options = f" --score {found.metric}" if found.metric and found.metric.isidentifier() else ""
    options += " --direction minimize" if found.direction == "minimize" else ""
    head = [f'Then: neocarbs run --space {file} --command "python train.py ..."{options} --trials 50', *found.notes]
    return "".join(f"# {line}\n" for line in head) + "\n" + to_toml(found.space)


def read(source: str) -> ImportedSpace:
    """Return the space of a file or an Optuna study.

    Raises:
        ValueError: it cannot be read, or is none of those that are known.
    """
    if Path(source).suffix.lower() not in (".yaml", ".yml", ".json"):
        return _of_study(source)
    try:
        text = Path(source).read_text(encoding="utf-8")
        content = json.loads(text) if source.lower().endswith(".json") else load_yaml(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        cause = str(error).splitlines()[0]
        raise ValueError(f"`from` must be a YAML or JSON file that can be read; got {source!r} ({cause}).") from error
    if isinstance(content, Mapping) and "parameters" in content:
        return from_wandb(content)
    if isinstance(content, Mapping) and "hyperparameters" in content:
        return _of_configspace(content)
    rule = "`from` must be a W&B sweep (with parameters) or a ConfigSpace (with hyperparameters)"
    raise ValueError(f"{rule}; got {source!r}, which is neither.")


def _of_configspace(content: Mapping[str, Any]) -> ImportedSpace:
    try:
        from ConfigSpace import ConfigurationSpace
    except ImportError as error:
        raise ValueError("`from` may be a ConfigSpace where that is installed: pip install ConfigSpace.") from error
    return from_configspace(ConfigurationSpace.from_serialized_dict(dict(content)))


def _of_study(source: str) -> ImportedSpace:
    place, _, name = source.partition("#")
    known = study_names(place)
    if not name and len(known) != 1:
        raise ValueError(f"`from` must name one of the studies ({', '.join(known) or 'none'}), as {place}#NAME.")
    if name and name not in known:
        raise ValueError(f"`from` must name one of the studies ({', '.join(known) or 'none'}); got {name!r}.")
    storage = ledger.open_storage(storage_url(place), must_exist=True)
    return from_optuna(optuna.load_study(study_name=name or known[0], storage=storage))
