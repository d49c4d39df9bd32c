"""The arithmetic world: rows with verified trajectories, and the shipped base policy."""

import json
from pathlib import Path
from typing import Any

from oger.words import choose
from oger.worlds.arithmetic.problems import OOD_SPLITS, SOURCES, Draw, draw_split
from oger.worlds.arithmetic.teachers import TEACHERS, trajectory
from oger.worlds.curated import CuratedWorld

POLICY_FOLDER = Path(__file__).parent / "policy"

PARTS = {name: (name,) for name in SOURCES} | {"ood": OOD_SPLITS}  # the sources that make up each split


class ArithmeticWorld(CuratedWorld):
    """Short arithmetic problems of four families, in and out of the base policy's reach.

    `ood` is the union of the three splits of that prefix.
    """

    name = "arithmetic"
    splits = tuple(PARTS)
    max_completion_length = 64

    def raw_trajectories(self, split: str, *, limit: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Rows of a split with all that the teachers wrote, unverified."""
        draws = [draw for part in choose(PARTS, split, "split") for draw in draw_split(part, seed)]
        return [_row(draw) for draw in draws[:limit]]

    def base_policy(self) -> Path:
        """The policy that ships with the package; `python -m oger.worlds.pretrain --out DIR` rebuilds it."""
        return POLICY_FOLDER


def _row(draw: Draw) -> dict[str, Any]:
    return {
        "prompt": draw.prompt,
        "answer": draw.entry["answer"],
        "kind": "reasoning_gym",
        "family": draw.family.name,
        "metadata": json.dumps(draw.entry),
        "teachers": [
            {"teacher": teacher.name, "text": trajectory(teacher, draw.family, draw.problem)} for teacher in TEACHERS
        ],
    }
