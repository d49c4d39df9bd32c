"""Every table and figure of a study, from what is stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from oger.io.whole import write_text
from oger.study.analysis import Analysis
from oger.study.cell_folder import CSV, MARKDOWN, RESULTS_FOLDER
from oger.study.fields import StudyError
from oger.study.figures import draw_figures
from oger.study.plan import Study
from oger.study.store import ResultStore
from oger.study.tables import claims_at_a_glance, glance, leaderboard, leaderboard_csv


def write_tables(
    study: Study,
    out: Path,
    say: Callable[[str], None] = lambda text: None,
    note: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Write leaderboard.md, leaderboard.csv and the figures into OUT/results; returns the files.

    The figures stand in the leaderboard, below the tables.

    Args:
        study: what is shown.
        out: folder of the study.
        say: takes the accuracies of all methods as text.
        note: takes a line about each stored cell that is damaged and left out.

    Raises:
        StudyError: nothing is stored there yet.
    """
    folder = out / RESULTS_FOLDER
    store = ResultStore(folder)
    for cell, why in store.damaged.items():
        note(f"{cell or 'a cell without a name'} is left out: {folder / why}")
    analysis = Analysis(study, store)
    if not analysis.rows and not analysis.tuning_rows:
        raise StudyError(f"{folder} holds no results of {study.name} yet: run oger compare without --tables")
    say(glance(analysis))
    if claims := claims_at_a_glance(analysis):
        say(f"\n{claims}")
    figures = draw_figures(analysis, folder)
    shown = "".join(f"\n![{path.stem}]({path.name})\n" for path in figures)
    written = [folder / MARKDOWN, folder / CSV]
    for path, text in zip(written, (leaderboard(analysis) + shown, leaderboard_csv(analysis)), strict=True):
        write_text(path, text)
    return [*written, *figures]
