"""A view of the map: teachers and rollouts in one plane, the same at every step, and what each step is in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oger.reporting.prompts import question
from oger.reporting.report.browser import cut_middle

if TYPE_CHECKING:
    import numpy as np

_SNIPPET = 160
_KINDS = {1.0: "correct", 0.0: "wrong"}


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A trajectory that does not change with the steps."""

    name: str
    text: str
    vector_E: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """A response at one step; `row` is one of `oger.runs.rollouts.SCHEMA`."""

    row: Mapping[str, Any]
    vector_E: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A prompt with its teachers and the rollouts that it got at any step."""

    prompt: str
    teachers: Sequence[Teacher]
    rollouts: list[Rollout]


def short_prompt(prompt: str) -> str:
    """A prompt in one line."""
    return cut_middle(question(prompt), _SNIPPET)[0]


def view(title: str, problems: Sequence[Problem], *, relative: bool) -> dict[str, Any] | None:
    """Title, points, share of variance that the plane holds, and a row of numbers for each step.

    The plane is that of the first two principal components of all points, of every step together. Problems without a
    teacher are left out.

    Args:
        title: what the view is called.
        problems: what it shows.
        relative: whether each vector is taken relative to the mean of its problem's teachers, so that several problems
            can share the plane; the teachers then lie round the origin.

    Returns:
        None where there is no teacher, or fewer than three different points.
    """
    import numpy as np

    points: list[dict[str, Any]] = []
    placed = []
    shown = [problem for problem in problems if problem.teachers]
    for problem in shown:
        centre = np.mean([teacher.vector_E for teacher in problem.teachers], axis=0) if relative else 0.0
        for teacher in problem.teachers:
            points.append({"kind": "teacher", "step": None, "label": teacher.name, "text": _snippet(teacher.text)})
            placed.append(teacher.vector_E - centre)
        for rollout in problem.rollouts:
            points.append({"kind": _kind(rollout.row), "step": rollout.row["step"], "label": "",
                           "text": _snippet(rollout.row["text"])})  # fmt: skip
            placed.append(rollout.vector_E - centre)
    if len({vector.tobytes() for vector in placed}) < 3:
        return None
    plane_N2, explained = _plane(np.stack(placed))
    for point, (x, y) in zip(points, plane_N2.tolist(), strict=True):
        point["x"], point["y"] = x, y
    rows = [rollout.row for problem in shown for rollout in problem.rollouts]
    return {
        "title": title,
        "prompts": len({problem.prompt for problem in shown}),
        "explained": explained,
        "points": points,
        "steps": _steps(rows),
    }


def _steps(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`{"step", "rollouts", "correct", "divergence"}` in the order of steps; the mean divergence may be None."""
    found: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["step"], []).append(row)
    table = []
    for step in sorted(found):
        divergences = [row["divergence"] for row in found[step] if row["divergence"] is not None]
        table.append(
            {
                "step": step,
                "rollouts": len(found[step]),
                "correct": sum(row["outcome"] == 1 for row in found[step]),
                "divergence": sum(divergences) / len(divergences) if divergences else None,
            }
        )
    return table


def _kind(row: Mapping[str, Any]) -> str:
    return "replaced" if row["origin"] == "replaced" else _KINDS.get(row["outcome"], "undecided")


def _snippet(text: str) -> str:
    return cut_middle(text, _SNIPPET)[0]


def _plane(vectors_NE: np.ndarray) -> tuple[np.ndarray, list[float]]:
    from sklearn.decomposition import PCA

    pca = PCA(n_components=2, svd_solver="full")  # exact, so that the same run gives the same map
    plane_N2 = pca.fit_transform(vectors_NE)
    return plane_N2, pca.explained_variance_ratio_.tolist()
