"""The map of probes: one plane for all steps, numbers for those who see no plane, and what damage costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from oger.reporting.report.probe_map import MAX_STEPS, probe_map
from oger.reporting.report.run_folder import RunFolder, read_run
from oger.runs.rollouts import PROBES, write_rollouts
from tests.support.run_folders import make_run, probe_rows


def probed(folder: Path, **options: int) -> RunFolder:
    return read_run(make_run(folder / "run", **{"probes": 2, **options}), "run")


def test_every_view_has_the_rollouts_of_every_step_and_each_teacher_once(tmp_path: Path) -> None:
    made = probe_map(probed(tmp_path, steps=4))
    assert made is not None
    pooled, first, second = made["views"]
    assert [view["prompts"] for view in (pooled, first, second)] == [2, 1, 1]
    assert first["title"] == "Probe: probe 0"
    kinds = [point["kind"] for point in first["points"]]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"teacher": 2, "correct": 10, "wrong": 5, "undecided": 5}
    assert first["steps"] == [
        {"step": step, "rollouts": 4, "correct": 2, "divergence": pytest.approx((step + 1.5) / 100)}
        for step in range(5)
    ]


def test_the_plane_keeps_distances_of_vectors_that_lie_in_one(tmp_path: Path) -> None:
    made = probe_map(probed(tmp_path, steps=2, probes=1))
    assert made is not None
    [pooled, view] = made["views"]
    online = [(point["x"], point["y"]) for point in view["points"] if point["step"] == 2]
    vectors = [row["vector"] for row in probe_rows(2, 0, "")[:4]]
    for one in range(4):
        for other in range(4):
            shown = sum((a - b) ** 2 for a, b in zip(online[one], online[other], strict=True))
            true = sum((a - b) ** 2 for a, b in zip(vectors[one], vectors[other], strict=True))
            assert shown == pytest.approx(true, abs=0.003)
    teachers = [point for point in pooled["points"] if point["kind"] == "teacher"]
    assert {point["label"] for point in teachers} == {"brisk", "calm"}


def test_a_long_run_is_shown_from_its_first_to_its_last_probe(tmp_path: Path) -> None:
    made = probe_map(probed(tmp_path, steps=60, probes=1))
    assert made is not None
    steps = [row["step"] for row in made["views"][0]["steps"]]
    assert (steps[0], steps[-1], len(steps)) == (0, 60, MAX_STEPS)
    assert f"at {MAX_STEPS} of 61 probed steps" in made["about"]


def test_vectors_that_do_not_fit_cost_their_own_step(tmp_path: Path) -> None:
    run = probed(tmp_path, steps=3)
    rows = probe_rows(1, 0, "text")
    rows[0]["vector"] = [1.0]
    write_rollouts(run.path, 1, rows, store=PROBES)
    made = probe_map(run)
    assert made is not None
    assert [row["step"] for row in made["views"][0]["steps"]] == [0, 2, 3]
    [problem] = run.problems
    assert problem.startswith("probes: step 1 cannot be read")
    short = [{**row, "vector": row["vector"][:2]} for row in probe_rows(2, 0, "text")]
    write_rollouts(run.path, 2, short, store=PROBES)
    again = probe_map(read_run(run.path, "run"))
    assert again is not None
    assert [row["step"] for row in again["views"][0]["steps"]] == [0, 3], "another length than at the other steps"


def test_no_readable_probe_is_no_map(tmp_path: Path) -> None:
    run = probed(tmp_path, steps=1)
    for path in (run.path / "probes").iterdir():
        path.write_bytes(b"no")
    assert probe_map(run) is None
    assert len(run.problems) == 2
    assert probe_map(read_run(make_run(tmp_path / "older", steps=1), "older")) is None
