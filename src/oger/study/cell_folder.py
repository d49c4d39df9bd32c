"""Names in the folder of a study, and in the folder of a cell, which the study and the cell's own process share.

CELL/cell.json        what to do
CELL/run/             the run folder; its checkpoints are removed once the cell is finished
CELL/log.txt          what its process wrote, of its last start
CELL/outcomes.json    per problem and sample, of every policy and split
CELL/result.json      the numbers; its presence says that the cell is finished
"""

from __future__ import annotations

from pathlib import Path

from oger.io.objects import read_object
from oger.runs.paths import CONFIG

RESULTS_FOLDER, CELLS_FOLDER = "results", "cells"
MARKDOWN, CSV = "leaderboard.md", "leaderboard.csv"
"""In the results."""
SPEC, RUN, LOG, OUTCOMES, RESULT = "cell.json", "run", "log.txt", "outcomes.json", "result.json"

SIGNALS = {
    "exploration": "reward/exploration",
    "correct_divergence": "divergence/correct_mean",
    "confidence": "confidence/mean",
    "solve_none": "group/solve_none",
    "plain": "group/plain_share",
    "replaced_correct": "group/replaced_correct_share",
    "teacher_advantage": "advantage/teacher_mean",
    "teacher_advantage_negative": "advantage/teacher_negative_share",
    "teacher_prob": "objective/teacher_prob",
}
"""Column of a cell's curve -> metric of the run, null where the run has none; what the reward was made of."""


def finished(folder: Path) -> str | None:
    """Identity of the finished cell in a folder, None where it is not finished."""
    path = folder / RESULT
    return read_object(path, {"identity": str})["identity"] if path.exists() else None


def stored_specs(folder: Path) -> dict[str, tuple[str, dict[str, object]]]:
    """Name of every cell below a folder that has a run or a result -> (identity, settings)."""
    found = {}
    for path in sorted(folder.rglob(SPEC)):
        begun = any((path.parent / name).is_file() for name in (RESULT, f"{RUN}/{CONFIG}"))
        if begun and RUN not in path.relative_to(folder).parts:
            spec = read_object(path, {"identity": str, "settings": dict})
            found[path.parent.relative_to(folder).as_posix()] = spec["identity"], spec["settings"]
    return found
