"""Tables of planted differences in their three formats."""

from __future__ import annotations

import numpy as np

from oger.evaluation.statistics.intervals import Comparison
from oger.evaluation.tables import columns_of, difference_grid, main_grid
from oger.terminal.grid import render

HARD = np.random.default_rng(1).random((1, 120))
GROUPS = {"x": "math", "y": "math", "mine": ""}
SYSTEMS = {
    "base_1": {"x": HARD, "y": HARD, "mine": HARD},
    "new|50%": {"x": np.clip(HARD + 0.1, 0, 1), "y": HARD[:, ::-1].copy(), "mine": np.clip(HARD + 0.1, 0, 1)},
}


def grid(form: str) -> list[list[str]]:
    return main_grid(Comparison(SYSTEMS), columns_of(GROUPS), {"x": 32, "y": 1, "mine": 8}, form)


def test_only_a_supported_best_cell_is_marked() -> None:
    head, base, new = grid("markdown")
    assert head == ["%", "x avg@32", "y avg@1", "math avg", "mine avg@8"]
    assert not any("**" in cell for cell in base)
    assert new[1].startswith("**")
    assert new[4].startswith("**")
    assert "**" not in new[2]  # the same problems in another order: no difference on average


def test_differences_are_to_the_reference_and_signed() -> None:
    rows = difference_grid(Comparison(SYSTEMS), columns_of(GROUPS), "base_1")
    assert rows is not None
    assert [row[0] for row in rows] == ["minus base_1, points", "new|50%"]
    assert rows[1][1].startswith("+")
    turned = difference_grid(Comparison(SYSTEMS), columns_of(GROUPS), "new|50%")
    assert turned is not None
    assert turned[1][1].startswith("-")
    assert difference_grid(Comparison({"a": {"x": HARD}}), {"x": ["x"]}, "a") is None


def test_plain_text_is_aligned_and_turned_for_a_terminal() -> None:
    lines = render(grid("plain"), "plain", turned=True).splitlines()
    assert lines[0].split() == ["%", "base_1", "new|50%"]
    assert [line.split()[0] for line in lines[2:]] == ["x", "y", "math", "mine"]
    assert lines[2].endswith(" *")
    assert not lines[3].endswith("*")


def test_markdown_and_latex_escape_what_would_break_them() -> None:
    markdown = render(grid("markdown"), "markdown").splitlines()
    assert markdown[3].startswith(r"| new\|50% | **")
    assert {line.replace(r"\|", "").count("|") for line in markdown} == {6}
    latex = render(grid("latex"), "latex").splitlines()
    assert latex[0] == r"\begin{tabular}{lrrrr}"
    assert latex[2].startswith(r"\% & x avg@32")
    assert latex[4].startswith(r"base\_1 & ")
    assert latex[5].startswith(r"new|50\% & \textbf{")
    assert latex[5].endswith(r"} \\")
    assert latex[-1] == r"\end{tabular}"
