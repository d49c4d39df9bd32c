"""One grid in its three formats; what would break a format is escaped."""

import pytest

from oger.terminal.grid import bold, render

GRID = [["", "a|b", "share %"], ["x_1", "31.8", "[28, 35]"], ["longer", "4", "-"]]


def test_plain_text_is_aligned() -> None:
    assert render(GRID, "plain").splitlines() == [
        "         a|b   share %",
        "----------------------",
        "x_1     31.8  [28, 35]",
        "longer     4         -",
    ]
    assert render(GRID, "plain", turned=True).splitlines()[0].split() == ["x_1", "longer"]


def test_markdown_and_latex_escape() -> None:
    assert render(GRID, "markdown").splitlines() == [
        r"|  | a\|b | share % |",
        "|---|---|---|",
        "| x_1 | 31.8 | [28, 35] |",
        "| longer | 4 | - |",
    ]
    assert render(GRID, "latex").splitlines() == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r" & a|b & share \% \\",
        r"\midrule",
        r"x\_1 & 31.8 & {}[28, 35] \\",
        r"longer & 4 & - \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_a_cell_that_stands_out() -> None:
    assert [bold("5 %", form) for form in ("plain", "markdown", "latex")] == ["5 % *", "**5 %**", r"\textbf{5 %}"]
    assert render([["", bold("5 %", "latex")]], "latex").splitlines()[2] == r" & \textbf{5 \%} \\"


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'latex'"):
        render([["a"]], "latx")
