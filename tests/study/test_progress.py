"""What a running study shows."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from oger.study.cells import main_cells
from oger.study.plan import make_study
from oger.study.pool import CellPool
from oger.study.progress import Board
from tests.support.tiny_study import document


def test_terminal_shows_every_cell_and_what_is_left(tmp_path: Path) -> None:
    study = make_study(document(seeds=[0, 1]))
    cells = main_cells(study, {})
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    board = Board(study, console)
    with board.live(CellPool(tmp_path, 1, 0), cells, cells[2:]):
        board.started(cells[2])
        shown = Console(file=io.StringIO(), width=100)
        shown.print(board._table())
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "seed 0" in text
    assert "seed 1" in text
    [grpo] = [line for line in text.splitlines() if "grpo" in line]
    [oger] = [line for line in text.splitlines() if "oger" in line]
    assert "stored" in grpo
    assert "…" in oger
    assert "·" in oger
    assert "tuning and untrained: 1 of 1" in text
    assert "2 of 5 cells" in text


def test_elsewhere_a_line_says_what_is_to_do(tmp_path: Path) -> None:
    study = make_study(document())
    cells = main_cells(study, {})
    console = Console(file=io.StringIO(), width=100)
    with Board(study, console).live(CellPool(tmp_path, 1, 0), cells, cells):
        pass
    assert "tiny: 3 of 3 cells to do, 1 at once" in console.file.getvalue()  # type: ignore[attr-defined]
