"""`oger report STUDY`: the leaderboard of a study as one page, who is ahead and behind at its top.

It is made of what `oger compare` wrote into the study's results: leaderboard.csv for the strip, leaderboard.md for the
tables, the figures as they are. Nothing is computed again, so that page and tables cannot differ.
"""

from __future__ import annotations

import base64
import csv
import html
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from oger.reporting.report.build import check_out
from oger.reporting.report.page import fill, write_page
from oger.runs.card import SET_TITLES
from oger.study.cell_folder import CSV, MARKDOWN, RESULTS_FOLDER
from oger.study.plan import BASE, load_study
from oger.terminal.errors import UserError

Row = Mapping[str, str]

_NAMED = 4
"""Methods that a card names of those ahead, and of those behind."""
_LEVEL = 0.05
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page loads nothing and runs nothing."""


def is_study(path: Path) -> bool:
    """Whether a path is a study's file, or a study's folder with its tables."""
    return path.suffix in (".yaml", ".yml") or (path / RESULTS_FOLDER / CSV).is_file()


def build_study_page(study: str | os.PathLike[str], out: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write the page of a study to `out`; returns the folder of results that it shows.

    Args:
        study: STUDY.yaml, whose folder is studies/NAME or lies beside it, or that folder.
        out: the file to make.
        force: replace `out` where it is a report.

    Raises:
        FileExistsError: as `build_report`.
        UserError: the study has no tables yet.
    """
    study, out = Path(study), Path(out)
    check_out(out, force)
    results = _results(study)
    with open(results / CSV, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    content = [*_strip(rows), *_sections((results / MARKDOWN).read_text(encoding="utf-8"), results)]
    page = fill("study.html", policy=_POLICY, title=results.parent.name, content="\n".join(content))
    write_page(page, out)
    return results


def _results(study: Path) -> Path:
    if study.is_dir():
        folders = [study]
    else:
        name = load_study(study).name
        folders = [Path("studies") / name, study.parent / name]
    for folder in folders:
        if (folder / RESULTS_FOLDER / CSV).is_file() and (folder / RESULTS_FOLDER / MARKDOWN).is_file():
            return folder / RESULTS_FOLDER
    raise UserError(f"{folders[0] / RESULTS_FOLDER} holds no tables yet: oger compare {study} makes them")


def _strip(rows: Sequence[Row]) -> Iterator[str]:
    """One card for each test set: the reference, and which methods are ahead of it and behind."""
    shown = [row for row in rows if row["policy"] == "last"]
    yield '<div class="strip">'
    for (regime, split), group in groupby(shown, key=lambda row: (row["regime"], row["split"])):
        place = list(group)
        compared = [row for row in place if row["difference"]]
        reference = [row for row in place if not row["difference"] and row["method"] != BASE]
        told = [row for row in compared if row["p_holm"] and float(row["p_holm"]) < _LEVEL]
        ahead = sorted((row for row in told if float(row["difference"]) > 0), key=lambda row: -float(row["difference"]))
        behind = sorted((row for row in told if float(row["difference"]) < 0), key=lambda row: float(row["difference"]))
        yield f'<article class="answer"><h3>{html.escape(f"{regime}, {SET_TITLES.get(split, split)}")}</h3>'
        for row in (*(row for row in place if row["method"] == BASE), *reference):
            yield f"<p>{_method(row)} {_percent(row['accuracy'])} [{_percent(row['accuracy_low'])}, "
            yield f"{_percent(row['accuracy_high'])}] %</p>"
        yield from _named("up", "▲ ahead", ahead)
        yield from _named("down", "▼ behind", behind)
        level = len(compared) - len(told)
        yield f'<p class="faint">{level} of {len(compared)} methods: no difference shown</p></article>'
    yield '</div><p class="faint">Accuracy of the last policy in %, and points over the reference with 95 % intervals '
    yield "over seeds and problems; ▲ and ▼: p &lt; 0.05, adjusted by Holm's method for all methods of the set.</p>"


def _named(kind: str, title: str, rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    yield f'<p class="{kind}"><strong class="{kind}">{title}</strong></p><ul>'
    for row in rows[:_NAMED]:
        low, high = _points(row["difference_low"]), _points(row["difference_high"])
        yield f"<li>{_method(row)} <strong>{_points(row['difference'])}</strong> [{low}, {high}]</li>"
    yield f"</ul>{f'<p class=faint>{more}</p>' if more else ''}"


def _method(row: Row) -> str:
    return f"<code>{html.escape(row['method'])}</code>"


def _percent(value: str) -> str:
    return f"{100 * float(value):.1f}"


def _points(value: str) -> str:
    return f"{100 * float(value):+.1f}".replace("-", "−")


def _sections(text: str, folder: Path) -> Iterator[str]:
    """The leaderboard as HTML: what its Markdown uses, headings, paragraphs, tables and pictures, and no more.

    What stands below a heading of the third level is folded; pictures come where they stand.
    """
    is_open = False
    lines = text.splitlines()
    for is_table, block in groupby(lines, key=lambda line: line.startswith("|")):
        if is_table:
            yield _table([_cells(line) for line in block])
            continue
        for line in block:
            heading = re.match(r"(#{2,3}) (.*)", line)
            picture = re.fullmatch(r"!\[([^\]]*)\]\(([\w.-]+)\)", line)
            if (heading or picture) and is_open:
                yield "</details>"
                is_open = False
            if heading:
                title = html.escape(heading[2])
                is_open = len(heading[1]) == 3
                yield f"<details><summary><strong>{title}</strong></summary>" if is_open else f"<h2>{title}</h2>"
            elif picture:
                yield _picture(folder / picture[2], picture[1])
            elif line.strip() and not line.startswith("# "):
                yield f'<p class="faint">{_sentence(line)}</p>'
    if is_open:
        yield "</details>"


def _sentence(line: str) -> str:
    """A paragraph: its code as code, and small print as the page's own."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(re.sub(r"</?sub>", "", line)))


def _cells(line: str) -> list[str]:
    signed = re.sub(r"(?<![\w.])-(?=\d)", "−", line)  # the sign that the rest of the page has
    return [html.escape(cell.strip()) for cell in signed.strip().strip("|").split("|")]


def _table(grid: Sequence[Sequence[str]]) -> str:
    heads, rows = grid[0], grid[2:]
    made = ['<div class="scroll" tabindex="0"><table class="rows" role="table"><thead role="rowgroup"><tr role="row">']
    made += [f'<th scope="col" role="columnheader">{head}</th>' for head in heads]
    made.append('</tr></thead><tbody role="rowgroup">')
    for first, *rest in rows:
        cells = zip(heads[1:], rest, strict=False)
        made.append(f'<tr role="row"><th scope="row" role="rowheader">{first}</th>')
        made += [f'<td role="cell" data-head="{head}">{cell}</td>' for head, cell in cells]
        made.append("</tr>")
    return "".join([*made, "</tbody></table></div>"])


def _picture(path: Path, name: str) -> str:
    if not path.is_file():
        return f'<p class="note">{html.escape(path.name)} is missing.</p>'
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img class="figure" alt="{html.escape(name)}" src="data:image/svg+xml;base64,{data}">'
