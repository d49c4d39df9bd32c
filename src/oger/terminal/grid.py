"""A grid of cells as text: plain for a terminal, Markdown, or LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Sequence

from oger.words import choose

FORMATS = ("plain", "markdown", "latex")


def render(grid: Sequence[Sequence[str]], form: str, *, turned: bool = False) -> str:
    """A grid whose first row and column are headings.

    Args:
        form: one of `FORMATS`.
        turned: rows become columns, which fits a terminal better where there are many columns.

    Raises:
        ValueError: an unknown format.
    """
    rows = [list(row) for row in zip(*grid, strict=True)] if turned else [list(row) for row in grid]
    return choose({"plain": _plain, "markdown": _markdown, "latex": _latex}, form, "format")(rows)


def _plain(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in
                  enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]  # fmt: skip
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _markdown(rows: list[list[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _latex(rows: list[list[str]]) -> str:
    lines = [" & ".join(_escaped(cell) for cell in row) + r" \\" for row in rows]
    head = [rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}", r"\toprule", lines[0], r"\midrule"]
    return "\n".join([*head, *lines[1:], r"\bottomrule", r"\end{tabular}"])


_BOLD_LATEX = r"\textbf{"


def _escaped(cell: str) -> str:
    if cell.startswith(_BOLD_LATEX):
        return _BOLD_LATEX + _escaped(cell[len(_BOLD_LATEX) : -1]) + "}"
    cell = cell.replace("\\", r"\textbackslash ")
    for character in "%_&#$":
        cell = cell.replace(character, "\\" + character)
    return "{}" + cell if cell.startswith("[") else cell


def bold(cell: str, form: str) -> str:
    """A cell that stands out: with a star where there is no bold."""
    return {"plain": f"{cell} *", "markdown": f"**{cell}**", "latex": f"{_BOLD_LATEX}{cell}}}"}[form]
