"""What the site does beyond Markdown: pages that are generated, tables beside docs/, and formulas without a script.

MkDocs calls the functions by their names; `mkdocs.yml` names this file.
"""

import html
import re
from pathlib import Path

import reference
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "experiments" / "results"
OUTSIDE = re.compile(r"\]\((?:\.\./)+experiments/(?P<place>[^)#]*)(?P<anchor>#[^)]*)?\)")
POLYFILL = re.compile(r'<script src="https://unpkg\.com/[^"]*"></script>')
FORMULA = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference and the tables of experiments/results, which lie outside docs/, to the site."""
    for name, write in reference.PAGES.items():
        files.append(File.generated(config, name, content=write()))
    for path in sorted([*RESULTS.rglob("*.md"), *RESULTS.rglob("*.png")]):
        name = f"results/{path.relative_to(RESULTS).as_posix()}"
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to experiments/, which are right in the repository, into links of the site."""
    del config, files
    up = "../" * page.file.src_uri.count("/")

    def link(found: re.Match[str]) -> str:
        place, anchor = found["place"], found["anchor"] or ""
        if not place.startswith("results"):
            return f"] (`experiments/{place}` in the repository)"  # brackets of a link without a target
        inside = place.removeprefix("results").lstrip("/") or "README.md"
        return f"]({up}results/{inside}{anchor})"

    return OUTSIDE.sub(link, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write formulas as MathML, which browsers draw by themselves."""
    del page, config, files

    def draw(found: re.Match[str]) -> str:
        display = "block" if found["tag"] == "div" else "inline"
        return convert(html.unescape(found["latex"]).strip(), display=display)

    return FORMULA.sub(draw, content)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Replace the theme's one script from elsewhere, which lets the search work in pages that are opened as files."""
    del config
    script = get_relative_url("site/worker.js", page.url)
    return POLYFILL.sub(f'<script src="{script}"></script>', output)


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """Leave that script out of the page for addresses that do not exist, which only a server shows."""
    del template_name, config
    return POLYFILL.sub("", output_content)
