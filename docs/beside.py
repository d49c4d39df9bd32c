"""Pages of the site that lie beside docs/, where the repository's readers expect them, and formulas as MathML, which
browsers show without a script (a hook of mkdocs.yml)."""

import html
import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[1]
PAGES = {
    "CONTRIBUTING.md": "beside/contributing.md",
    "CHANGELOG.md": "beside/changelog.md",
    "examples/own_model.py": "beside/own_model.py",
}
for study, folder in (("arithmetic", "beside"), ("numbers", "beside/numbers")):
    results = f"studies/{study}/results"
    PAGES[f"studies/{study}.yaml"] = f"{folder}/{study}.yaml"
    PAGES[f"{results}/leaderboard.md"] = f"{folder}/leaderboard.md"
    for figure in sorted((ROOT / results).glob("*.svg")):
        PAGES[f"{results}/{figure.name}"] = f"{folder}/{figure.name}"
NOT_IN_NAVIGATION = {"beside/numbers/leaderboard.md", "beside/own_model.py"}
LINK = re.compile(r"(\]\()([^)#: ]+)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, *, config: Any) -> Files:
    """Add the files beside docs/, their links made to fit their place in the site."""
    for source, place in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        content = _links(text, source, place) if place.endswith(".md") else text
        level = InclusionLevel.NOT_IN_NAV if place in NOT_IN_NAVIGATION else InclusionLevel.UNDEFINED
        files.append(File.generated(config, place, content=content, inclusion=level))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links out of docs/ lead to the same file's place in the site."""
    uri = page.file.src_uri
    return markdown if uri.startswith("beside/") else _links(markdown, f"docs/{uri}", uri)


def on_page_content(html_: str, **_: Any) -> str:
    """$...$ and $$...$$ as MathML."""
    return FORMULA.sub(_mathml, html_)


def _mathml(formula: re.Match[str]) -> str:
    return convert(html.unescape(formula[2]), display="inline" if formula[1] == "span" else "block")


def _links(text: str, source: str, place: str) -> str:
    def moved(link: re.Match[str]) -> str:
        target = normpath(PurePosixPath(source).parent / link[2])
        there = PAGES.get(target, target.removeprefix("docs/"))
        return link[1] + relpath(there, PurePosixPath(place).parent)

    return LINK.sub(moved, text)
