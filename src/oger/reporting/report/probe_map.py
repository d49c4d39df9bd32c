"""The map of a run's probes: the same prompts at every step, with the vectors that the run stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oger.reporting.report.plane import Problem, Rollout, Teacher, short_prompt, view
from oger.reporting.report.run_folder import RunFolder
from oger.reporting.report.stored import stored_steps, whole_rows
from oger.runs.rollouts import PROBES

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MAX_STEPS = 25
"""Probed steps that the map shows: the first, the last, and evenly between them."""


def probe_map(run: RunFolder) -> dict[str, Any] | None:
    """`{"about", "views"}` as the page reads it; None where no probe is stored, or none can be read."""
    stored = stored_steps(run, PROBES)
    by_prompt: dict[str, Problem] = {}
    length = None
    for step in _with_ends(stored, MAX_STEPS):
        problems, its_length = _read(run, step, length)
        length = length or its_length
        for problem in problems:
            if problem.prompt in by_prompt:
                by_prompt[problem.prompt].rollouts.extend(problem.rollouts)
            else:
                by_prompt[problem.prompt] = problem
    all_of_them = list(by_prompt.values())
    if not all_of_them:
        return None
    views = [view("All probes, each relative to the mean of its teachers", all_of_them, relative=True)]
    views += [view(f"Probe: {short_prompt(problem.prompt)}", [problem], relative=False) for problem in all_of_them]
    shown = len({rollout.row["step"] for problem in all_of_them for rollout in problem.rollouts})
    steps = (
        f"{shown} step{'' if shown == 1 else 's'}" if shown == len(stored) else f"{shown} of {len(stored)} probed steps"
    )
    about = (
        f"Probes: {len(all_of_them)} training prompts that the policy answered again and again, always from the same "
        f"random seed, at {steps}; step N is the policy after N steps. These answers were not trained on. Vectors of "
        f"the run's own encoder, {run.config.get('encoder') or 'as stored'}; every teacher of these prompts"
    )
    return {"about": about, "views": [each for each in views if each]}


def _read(run: RunFolder, step: int, length: int | None) -> tuple[list[Problem], int | None]:
    """Problems of one step and the length of their vectors; nothing where the file is damaged.

    `length` is that of the vectors of the steps before, if any.
    """
    import numpy as np

    what = f"{PROBES.folder}: step {step}"
    with run.reading(what):
        table = whole_rows(run, step, PROBES)
        vectors_NE = _matrix(table.column("vector"), len(table), length)
        finite_N = np.isfinite(vectors_NE).all(axis=1)
        if not finite_N.all():
            run.add_problem(f"{what}: {(~finite_N).sum()} of {len(table)} vectors are not finite and are left out")
            table, vectors_NE = table.filter(finite_N), vectors_NE[finite_N]
        found: dict[str, tuple[list[Teacher], list[Rollout]]] = {}
        for row, vector_E in zip(table.drop_columns(["vector"]).to_pylist(), vectors_NE, strict=True):
            teachers, rollouts = found.setdefault(row["prompt"], ([], []))
            if row["origin"] == "teacher":
                teachers.append(Teacher(name=row["teacher"] or "teacher", text=row["text"], vector_E=vector_E))
            else:
                rollouts.append(Rollout(row=row, vector_E=vector_E))
        problems = [
            Problem(prompt=prompt, teachers=teachers, rollouts=rollouts)
            for prompt, (teachers, rollouts) in found.items()
        ]
        return problems, vectors_NE.shape[1] if problems else None
    return [], None


def _matrix(column: pa.ChunkedArray, rows: int, length: int | None) -> np.ndarray:
    """(N, E); ValueError where there are none, or not all of one length, or not of the length expected."""
    import numpy as np
    import pyarrow.compute as pc

    lengths = set(pc.list_value_length(column).to_pylist()) | ({length} if length else set())
    if lengths == {None}:
        raise ValueError("it holds no vectors")
    if len(lengths) > 1:
        raise ValueError("its vectors are not of one length")
    values = pc.list_flatten(column).to_numpy().astype(np.float64)
    return values.reshape(rows, -1) if rows else np.zeros((0, 0))


def _with_ends(steps: list[int], count: int) -> list[int]:
    """At most `count` of the steps, evenly apart, the first and the last among them.

    >>> _with_ends(list(range(0, 110, 10)), 4)
    [0, 30, 70, 100]
    """
    if len(steps) <= count:
        return steps
    return [steps[round(place * (len(steps) - 1) / (count - 1))] for place in range(count)]
