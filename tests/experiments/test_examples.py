"""The example programs, tuned by `neocarbs run` as their first lines say."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from neocarbs_jax import Study, cli

EXAMPLES = Path(__file__).resolve().parents[2] / "experiments" / "examples"


def trials_of(folder, name):
    return Study.load(f"sqlite:///{folder}/runs/{name}.db", name=name).trials


def test_a_shell_script_reads_its_settings_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli.main(["new"])
    command = f"sh {EXAMPLES / 'train.sh'}"
    cli.main(["run", "--space", "space.toml", "--command", command, "--trials", "3", "--strategy", "random"])
    trials = trials_of(tmp_path, "space")
    assert [t.status for t in trials] == ["completed"] * 3
    assert all(t.cost == pytest.approx(t.values["steps"] / 1000, abs=1e-6) for t in trials)
    assert (tmp_path / "runs" / "space" / "trials" / "00001" / "output.txt").read_text().startswith("trial 1, files in")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_a_training_in_pytorch_is_tuned(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = "--lr {lr} --width {width} --steps {steps} --seed {replicate}"
    command = f"{sys.executable} {EXAMPLES / 'train_torch.py'} {words}"
    cli.main(["run", "--space", str(EXAMPLES / "torch.toml"), "--command", command, "--trials", "4"])
    trials = trials_of(tmp_path, "torch")
    assert [t.status for t in trials] == ["completed"] * 4
    assert all(0.3 < t.score <= 1 and t.cost > 0 for t in trials)
    capsys.readouterr()
    cli.main(["best", "runs/torch.db", "--format", "json"])
    assert set(json.loads(capsys.readouterr().out)) == {"lr", "width", "steps"}
