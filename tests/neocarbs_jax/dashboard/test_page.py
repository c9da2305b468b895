"""What the server answers without a browser: to whom, with which headers; and details as text."""

import http.client
import json
import shlex
import tomllib

import pytest

pytest.importorskip("dash")

from neocarbs_jax import cli
from neocarbs_jax.dashboard.details import agent_of, text_of
from neocarbs_jax.dashboard.table import PAGE, in_order, table
from neocarbs_jax.study.trials import Trial

TRIAL = Trial(17, {"lr": 0.1, "net.width": 64}, "completed", 1.0, 2.0)


def get(url, path="/", host=None):
    """Status, headers and text of an answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def test_it_answers_its_own_pages_only_and_loads_nothing_from_elsewhere(database, serving):
    with serving(str(database)) as url:
        status, headers, text = get(url)
        assert status == 200
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert 'src="http' not in text
        assert "<script>alert" not in text
        assert get(url, host="evil.example")[0] == 403
        assert get(url, host="evil.example:80")[0] == 403
        assert get(url, host="localhost:80")[0] == 200
        assert "<script>alert(1)</script>" in json.dumps(json.loads(get(url, "/_dash-layout")[2]))


def test_a_setting_is_copied_in_every_form_of_best():
    assert tomllib.loads(text_of(TRIAL, "toml", None)) == TRIAL.values or "net.width" in text_of(TRIAL, "toml", None)
    assert json.loads(text_of(TRIAL, "json", None)) == TRIAL.values
    assert shlex.split(text_of(TRIAL, "cli", None)) == ["--lr", "0.1", "--net.width", "64"]
    assert text_of(TRIAL, "py", None) == repr(TRIAL.values)
    assert "which has no null" in text_of(Trial(0, {"a": None}, "completed", 1.0, 1.0), "toml", None)


def test_an_agent_is_watched_where_one_was_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert agent_of("a b", 17, None) is None
    folder = tmp_path / "runs" / "a-b" / "trials" / "17"
    folder.mkdir(parents=True)  # that of a program's output
    assert agent_of("a b", 17, None) is None
    (folder / "settings.json").write_text("{}")
    assert agent_of("a b", 17, None) == "runs/a-b#17"
    assert text_of(TRIAL, "watch", agent_of("a b", 17, None)) == "p3o watch --policy 'runs/a-b#17'"
    assert agent_of("other", 17, tmp_path / "runs" / "a-b") == f"{tmp_path}/runs/a-b#17"


@pytest.mark.parametrize(
    ("of", "down", "expected"),
    [("number", True, [3, 2, 1, 0]), ("score", True, [1, 0, 2, 3]), ("score", False, [0, 1, 2, 3]),
     ("values.opt", False, [2, 0, 1, 3])],
)  # fmt: skip
def test_rows_are_sorted_and_those_without_a_value_come_last(of, down, expected):
    trials = [
        Trial(0, {"opt": "b"}, "completed", 1.0, 1.0),
        Trial(1, {"opt": "c"}, "completed", 2.0, 1.0),
        Trial(2, {"opt": "a"}, "failed"),
        Trial(3, {}, "queued"),
    ]
    assert [t.number for t in in_order(trials, of, down)] == expected


def test_a_page_of_the_table_holds_so_many_trials_and_never_lies_beyond_the_last():
    trials = [Trial(i, {"lr": 0.1}, "completed", float(i), 1.0) for i in range(PAGE + 3)]
    shown = table(trials, 99, ["lr"], {"sort": "number", "down": False, "page": 7})
    assert (shown["state"]["page"], shown["pages"], len(shown["rows"])) == (1, 2, 3)
    assert shown["said"] == f"{PAGE + 3} of 99 trials"
    assert shown["rows"][0]["cells"] == ["25", "completed", "25", "1", "0.1", ""]


def test_a_missing_extra_is_one_line(database, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "neocarbs_jax.dashboard", None)
    with pytest.raises(SystemExit) as refusal:
        cli.main(["dashboard", str(database), "--port", "18099"])
    assert refusal.value.code == 2
    assert "`dashboard` needs an extra: pip install 'neocarbs-p3o[dashboard]'." in capsys.readouterr().err


def test_a_study_that_is_not_there_is_one_line(database, capsys):
    with pytest.raises(SystemExit) as refusal:
        cli.main(["dashboard", str(database), "--study", "none", "--port", "18099"])
    assert refusal.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "`study` must be a study of the storage (first, " in line
    assert line.endswith("got 'none'.")
