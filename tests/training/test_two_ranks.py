"""Two processes (gloo), one of which never sees a teacher: ranks stay in step and agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_rank_without_teacher_rows_stays_in_step(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "tests.support.two_ranks", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["world_size"] == second["world_size"] == 2, "the launcher started one process only"
    assert first["weights"] == second["weights"], "every weight, bit by bit"
    assert second["rows"] == [], "only the main process records"
    groups = {row["group"] for row in first["rows"]}
    assert groups == {0, 1, 2, 3}
    with_teacher = {row["group"] for row in first["rows"] if row["origin"] == "teacher"}
    assert with_teacher == {0, 1}
    online = [row for row in first["rows"] if row["origin"] != "teacher" and row["step"] == 1]
    assert first["log"][0]["reward/outcome"] == pytest.approx(sum(row["outcome"] for row in online) / len(online))
    assert first["log"][0]["group/plain_share"] == 0.5
    histograms = [json.loads(line) for line in (tmp_path / "run" / "histograms.jsonl").read_text().splitlines()]
    correct = [row for row in first["rows"] if row["step"] == 1 and row["origin"] == "online" and row["outcome"] == 1]
    assert sum(histograms[0]["divergence"]["counts"]) == len(correct), "the rows of both ranks are counted"
