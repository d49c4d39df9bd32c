"""The arithmetic world: rows with verified trajectories, and the shipped base policy."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from oger.method.options import choose
from oger.verification import verify
from oger.worlds.arithmetic.problems import OOD_SPLITS, SOURCES, Draw, draw_split
from oger.worlds.arithmetic.teachers import TEACHERS, trajectory

POLICY_FOLDER = Path(__file__).parent / "policy"


class ArithmeticWorld:
    """Short arithmetic problems of four families; `ood` is the union of the three out-of-distribution splits."""

    name = "arithmetic"
    splits = (*SOURCES, "ood")
    max_completion_length = 64

    def rows(self, split: str, *, limit: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Rows of a split with the verified trajectories only (see `World.rows`)."""
        return [
            {**row, "teachers": [t for t in row["teachers"] if t["verdict"] == "correct"]}
            for row in self.raw_trajectories(split, limit=limit, seed=seed)
        ]

    def raw_trajectories(self, split: str, *, limit: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Rows of a split with every trajectory and its verdict."""
        parts = choose({name: (name,) for name in SOURCES} | {"ood": OOD_SPLITS}, split, "split")
        draws = [draw for part in parts for draw in draw_split(part, seed)]
        return [_row(draw) for draw in draws[:limit]]

    def dropped_per_teacher(self, split: str, *, limit: int | None = None, seed: int = 0) -> dict[str, int]:
        """How many trajectories of each teacher did not verify and are missing from `rows`."""
        dropped = Counter({teacher.name: 0 for teacher in TEACHERS})
        for row in self.raw_trajectories(split, limit=limit, seed=seed):
            dropped.update(t["teacher"] for t in row["teachers"] if t["verdict"] != "correct")
        return dict(dropped)

    def base_policy(self) -> Path:
        """The policy that ships with the package; `python -m oger.worlds.pretrain --out DIR` rebuilds it."""
        return POLICY_FOLDER


def _row(draw: Draw) -> dict[str, Any]:
    answer, metadata = draw.entry["answer"], json.dumps(draw.entry)
    teachers = []
    for teacher in TEACHERS:
        text = trajectory(teacher, draw.family, draw.problem)
        verdict = verify(answer, text, kind="reasoning_gym", metadata=draw.entry)
        teachers.append({"teacher": teacher.name, "text": text, "verdict": verdict.status})
    return {
        "prompt": draw.prompt,
        "answer": answer,
        "kind": "reasoning_gym",
        "family": draw.family.name,
        "metadata": metadata,
        "teachers": teachers,
    }
