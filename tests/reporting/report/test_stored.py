"""What a page costs: stored rollouts as few objects as are shown, and no torch where nothing is encoded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from oger.reporting.report.run_folder import read_run
from oger.reporting.report.stored import _INDEXED, _read, index_groups, load_groups
from tests.support.run_folders import make_run

PROGRAM = """
import sys
from oger.cli.main import main
try:
    main(["report", *sys.argv[1:]])
except SystemExit as left:
    assert not left.code, left.code
assert "torch" not in sys.modules
"""


def test_a_report_of_a_run_with_probes_loads_no_torch(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", probes=2)
    command = [sys.executable, "-c", PROGRAM, str(run), "--out", str(tmp_path / "page.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "page.html").is_file()


def test_the_index_reads_its_own_columns_and_shown_groups_are_whole(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", steps=3, groups=4), "run")
    [first, *_] = _read(run, 1, columns=_INDEXED).values()
    assert set(first[0]) == set(_INDEXED)
    groups, points = index_groups(run)
    assert [(key.step, key.group) for key in groups] == [(step, group) for step in (1, 2, 3) for group in range(4)]
    assert points
    wanted = [groups[1], groups[6]]
    whole = {step: _read(run, step) for step in (1, 2)}
    assert list(load_groups(run, wanted)) == [(key, whole[key.step][key.group]) for key in wanted]
    assert list(_read(run, 1, only={2})) == [2]
