"""The site of docs/: pages are in the navigation, names and commands in the reference, and messages are real."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import neocarbs_jax
import p3o_jax

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
CONFIG = ROOT / "mkdocs.yml"
TROUBLES = DOCS / "guide" / "troubleshooting.md"
SOURCES = [path for name in ("neocarbs_jax", "p3o_jax", "experiments") for path in sorted((ROOT / name).rglob("*.py"))]
SHORTEST = 14
"""Characters of a message's fixed text that are enough to tell it from other texts."""


def load(name):
    """Import a module of docs/site, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "site" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference():
    return load("reference")


def navigation():
    def places(entry):
        if isinstance(entry, str):
            return [entry]
        return [place for part in (entry.values() if isinstance(entry, dict) else entry) for place in places(part)]

    return places(yaml.safe_load(CONFIG.read_text())["nav"])


def links(page):
    """Places in the repository that a page links to."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    return [(page.parent / link).resolve() for link in found if link and ":" not in link]


def test_each_page_of_the_navigation_exists_and_none_is_listed_twice(reference):
    places = navigation()
    assert len(set(places)) == len(places)
    generated = {"results/README.md", *reference.PAGES}
    assert [place for place in places if place not in generated and not (DOCS / place).is_file()] == []
    assert generated <= set(places)


def test_each_page_of_docs_is_in_the_navigation():
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert pages - set(navigation()) == set()


def test_each_page_of_docs_can_be_reached_on_github_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += [link for link in links(page) if link.suffix in (".md", ".ipynb") and link.is_file()]
    assert {path for path in DOCS.rglob("*") if path.suffix in (".md", ".ipynb")} - reached == set()


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.stem)
def test_each_link_of_a_page_leads_to_a_file(page):
    assert [link for link in links(page) if not link.exists()] == []


def test_the_reference_holds_every_public_name(reference):
    for package, groups in ((neocarbs_jax, reference.NEOCARBS_NAMES), (p3o_jax, reference.P3O_NAMES)):
        listed = " ".join(groups.values()).split()
        assert len(set(listed)) == len(listed)
        assert set(package.__all__) - {name.partition(".")[0] for name in listed} == set()


def test_the_reference_shows_what_the_real_command_lines_print(reference):
    page = reference.neocarbs_command()
    assert page.count("\n## neocarbs ") == len(reference.NEOCARBS_COMMANDS) > 10
    assert "--max-cost" in page
    assert "\x1b" not in page  # colours of a terminal


def fixed_texts():
    """The fixed parts of all texts in our sources, between what is filled in."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from (part.strip(" `.,:(") for part in node.value.split(";"))


def test_every_message_among_the_symptoms_is_one_of_ours():
    known = {text for text in fixed_texts() if len(text) >= SHORTEST and "\n" not in text}
    headings = re.findall(r"^### (.*)$", TROUBLES.read_text(), re.MULTILINE)
    messages = [span for heading in headings for span in re.findall(r"(`{1,2})(.+?)\1(?!`)", heading)]
    messages = [text for _, text in messages if len(text.split()) > 3 and "PYTHON" not in text]
    assert len(messages) > 15
    assert [text for text in messages if not any(part in text or text.strip("` ") in part for part in known)] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_nothing_of_the_network(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(navigation())
    for page in pages:
        text = page.read_text()
        assert re.findall(r'<(?:script|img|iframe)[^>]*src="https?:|<link[^>]*stylesheet[^>]*href="https?:', text) == []
    assert "<math" in (tmp_path / "how" / "p3o.html").read_text()
