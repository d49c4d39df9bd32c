"""The tables a run ends with."""

import pytest
from rich.console import Console
from rich.text import Text

from oger.reporting.tables import (
    alternatives_table,
    comparison_table,
    preview_table,
    sample_panel,
    summary_table,
)
from oger.training.scores.alternatives import Alternative

BEFORE = {"id": {"pass@1": 0.25, "ci95": [0.2, 0.3], "pass@8": 0.5}, "ood": {"pass@1": 0.1, "ci95": [0.05, 0.2]}}
AFTER = {
    "id": {
        "pass@1": 0.5, "ci95": [0.45, 0.55], "pass@32": 0.75, "distinct_correct": 1.5,
        "distinct_correct_ci95": [1.0, 2.0],
        "strategies": {"pairs": {"share": 0.125, "ci95": [0.1, 0.15]}},
    }
}  # fmt: skip
ONLINE = {
    "row": 0, "origin": "online", "teacher": None, "prompt": "1+1=?\n", "text": "[x] 2 " + "y" * 900 + " end",
    "outcome": 1.0, "divergence": 0.25, "reward": 1.125, "advantage": -0.5, "truncated": True, "num_tokens": 8192,
}  # fmt: skip


def text_of(renderable, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_before_and_after_stand_side_by_side_for_each_set_within_80_columns() -> None:
    lines = [" ".join(line.split()) for line in text_of(comparison_table(BEFORE, AFTER)).splitlines()]
    inside, outside = lines.index("in distribution"), lines.index("out of distribution")
    assert lines[inside + 1 : inside + 6] == [
        "pass@1 25.0 [20.0, 30.0] 50.0 [45.0, 55.0]",
        "pass@8 50.0 -",
        "pass@32 - 75.0",
        "different correct solutions - 1.5 [1.0, 2.0]",
        "pass@1 in the way pairs - 12.5 [10.0, 15.0]",
    ]
    assert lines[outside + 1] == "pass@1 10.0 [5.0, 20.0] -"


def test_only_a_change_beyond_the_intervals_is_bold() -> None:
    def styles(after: dict) -> list[str]:
        cells = comparison_table(BEFORE, after).columns[2]._cells
        return [str(cell.style) for cell in cells if isinstance(cell, Text)]

    assert "bold" in styles(AFTER)
    assert "bold" not in styles({"id": {"pass@1": 0.28, "ci95": [0.25, 0.31]}})


def test_a_summary_table_shows_undecided_and_truncated_shares_within_80_columns() -> None:
    numbers = {"undecided": 0.125, "truncated_share": 0.0625, "length": 51.25, "problems": 200, "samples": 32}
    text = text_of(summary_table({"id: base_conversion": {**BEFORE["id"], **numbers}}, title="runs/mine (best)"))
    [line] = [line for line in text.splitlines() if "base_conversion" in line]
    assert line.split()[2:] == ["25.0", "[20.0,", "30.0]", "50.0", "200", "x", "32", "12.5", "6.2", "51.2"]


def test_the_panel_shows_texts_as_they_are_markup_included() -> None:
    text = text_of(sample_panel("1+1=?\n", teacher="[bold]2[/bold] \\boxed{2}", before="", after=["2", "1+1"]))
    assert "[bold]2[/bold] \\boxed{2}" in text
    assert "(empty)" in text
    assert "2 different correct solutions" in text
    assert "(none)" in text_of(sample_panel("1+1=?", teacher=None, before="x", after=["y"]))


def test_a_preview_shows_every_row_of_the_group_with_its_origin_within_80_columns() -> None:
    teacher = {**ONLINE, "row": 1, "origin": "teacher", "teacher": "methodical", "text": "2", "truncated": False}
    replaced = {**teacher, "origin": "replaced", "teacher": None, "advantage": None}
    lines = text_of(preview_table([ONLINE, teacher, replaced], "it is the one")).splitlines()
    [online] = [line.split() for line in lines if line.split()[:2] == ["0", "online"]]
    assert online[2:] == ["1.00", "0.25", "-", "-", "-", "-", "1.12", "-0.50", "8192+"]
    assert any(line.startswith("1 teacher methodical: 2") for line in lines)
    [replaced_line] = [line.split() for line in lines if line.split()[:3] == ["1", "replaced", "1.00"]]
    assert replaced_line[-2:] == ["-", "8192"]
    text = "".join(lines)
    assert "0 online: [x] 2 y" in text
    assert text.count("y") < 400
    assert "y end" in text
    with pytest.raises(ValueError, match="without rows"):
        preview_table([], "")


def test_a_replaced_row_says_why_it_gave_way() -> None:
    replaced = {**ONLINE, "origin": "replaced", "row": 3}
    assert "Row 3 gave way to a teacher and is not trained on: it is the one." in text_of(
        preview_table([ONLINE, replaced], "it is the one")
    )


def test_alternatives_mark_teacher_rows_and_the_most_teacher_like_row() -> None:
    rows = [
        Alternative(option="as configured", most_teacher_like=1, bonus=[0.125, None, 0.5]),
        Alternative(option="divergence_aggregation=max", most_teacher_like=2, bonus=[0.25, None, 0.0]),
    ]
    lines = [line.split() for line in text_of(alternatives_table(rows)).splitlines()]
    assert ["as", "configured", "0.12", "-*", "0.50"] in lines
    assert ["divergence_aggregation=max", "0.25", "-", "0.00*"] in lines
