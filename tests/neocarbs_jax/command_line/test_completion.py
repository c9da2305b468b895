"""What bash completes, asked of a real one."""

import shutil
import subprocess

import pytest

from neocarbs_jax import cli

ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
[[ "$(complete -p neocarbs)" == *" -F _neocarbs "* ]] || exit 1
_neocarbs
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    import contextlib
    import io

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        cli.main(["--completion", "bash"])
    file = tmp_path_factory.mktemp("completion") / "neocarbs"
    file.write_text(printed.getvalue())
    return file


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("neocarbs co", {"compare", "confirm"}),
        ("neocarbs run --sp", {"--space"}),
        ("neocarbs run --gpus", {"--gpus-per-trial"}),
        ("neocarbs best runs/a.db --format j", {"json"}),
        ("neocarbs show ru", {"runs"}),
        ("neocarbs show runs/", {"runs/a.db"}),
        ("neocarbs run --space sp", {"space.toml"}),
    ],
)
def test_bash_completes_commands_options_choices_and_files(script, tmp_path, words, found):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a.db").touch()
    (tmp_path / "space.toml").touch()
    asked = ASK.format(script=script, words=words)
    done = subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == found, done.stderr


def test_zsh_has_a_script_and_other_shells_a_sentence(capsys):
    cli.main(["--completion", "zsh"])
    assert capsys.readouterr().out.startswith("#compdef neocarbs")
    with pytest.raises(SystemExit) as refusal:
        cli.main(["--completion", "fish"])
    assert refusal.value.code == 2
    assert capsys.readouterr().err == "error: `completion` must be bash or zsh; got 'fish'.\n"
