"""The gallery's page, the live table of a training, and the curves that a folder keeps."""

import csv
import io
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from rich.console import Console

from experiments import folder, gallery, saved, training
from experiments.training_view import FULL_SIGNAL, bars, signal_to_noise, view

SMALL = {"num_envs": 8, "segment_length": 8, "horizon": 4, "num_minibatches": 1, "update_epochs": 1}


@pytest.fixture(scope="module")
def run():
    return folder.new({"env": "pong", "seed": 0, "key": ""} | SMALL | {"total_steps": 512.0})


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    """The folder of a training, and what it printed in a terminal."""
    place, console = tmp_path_factory.mktemp("runs") / "agent", terminal()
    training.train(run, place, 2, console)
    return place, console.file.getvalue()


def terminal(is_one=True):
    return Console(file=io.StringIO(), force_terminal=is_one, width=120)


def test_a_terminal_shows_a_table(trained):
    _, text = trained
    assert "weights" in text
    assert "100%" in text
    assert "█" in text


def test_with_evidence_the_table_shows_signal_to_noise():
    metrics = SimpleNamespace(steps=np.array([64.0, 64.0]), signal_to_noise=np.array([[2.0, 0.0], [np.nan] * 2]))
    assert bars(signal_to_noise(metrics) / FULL_SIGNAL) == "█▁"
    metrics.steps = np.zeros(2)
    assert bars(signal_to_noise(metrics)) == "▁▁"


def test_without_a_terminal_there_are_plain_lines(run, tmp_path):
    console = terminal(False)
    training.train(run, tmp_path / "agent", 2, console)
    _, *lines = console.file.getvalue().splitlines()
    assert [line.split()[:2] for line in lines] == [["256", "steps"], ["512", "steps"]]
    assert "\x1b" not in console.file.getvalue()


def test_curves_hold_a_line_per_interval(trained):
    place, _ = trained
    rows = list(csv.DictReader(io.StringIO((place / "curves.csv").read_text())))
    assert len(rows) == 8  # updates, each an interval of its own
    assert [float(row["steps"]) for row in rows] == [64.0 * i for i in range(1, 9)]
    assert all(np.isfinite(float(row[f"explained_variance_{band}"])) for row in rows for band in range(3))
    assert all(row["score"] == "" for row in rows)  # no episode of pong ends within 64 steps


def test_a_line_of_bars_has_the_first_number_on_the_left():
    assert bars(np.array([1.0, 0.5, 0.0])) == "█▅▁"
    assert len(bars(np.linspace(1, 0, 128))) == 24
    assert bars(np.zeros(0)) == ""


def test_the_view_gives_the_terminal_back_after_an_error():
    console = terminal()
    with pytest.raises(KeyError), view(console):
        raise KeyError
    with view(console):  # only one may live at a time
        pass


@pytest.mark.slow
def test_a_gallery_shows_agents_and_scripts(trained, tmp_path, monkeypatch, capsys):
    place, _ = trained
    monkeypatch.setattr(gallery, "keep_on_disk", lambda: None)
    out = tmp_path / "gallery"
    gallery.main([str(place), "--envs", "connect4", "--out", str(out), "--steps", "4"])
    assert "wrote" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["agent-0.gif", "connect4.gif", "index.html"]
    page = (out / "index.html").read_text()
    assert page.count("<img") == 2
    assert f"pong, played by {place}" in page
    assert all((out / name).read_bytes()[:3] == b"GIF" for name in ("agent-0.gif", "connect4.gif"))


def test_names_on_the_page_are_escaped():
    assert "<script>" not in gallery.page_of([gallery.Card("<script>", '"><script>', "a.gif")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "`agents` must be folders that `p3o train` wrote; got 'nowhere'."),
        (["--envs", "pang"], "`envs` must be some of agar"),
        (["--fps", "500"], "`fps` must be at most 100; got 500."),
    ],
)
def test_bad_input_of_the_gallery_is_one_line(monkeypatch, capsys, options, message):
    monkeypatch.setattr(gallery, "keep_on_disk", lambda: None)
    with pytest.raises(SystemExit) as refusal:
        gallery.main(options)
    assert refusal.value.code == 2
    assert message in capsys.readouterr().err


def test_what_a_folder_holds_is_loaded_again(trained):
    place, _ = trained
    assert int(jax.device_get(saved.load(place).state.num_updates)) == 8
