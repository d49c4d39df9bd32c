"""Memory stays flat as the sources grow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

SCRIPT = """
import sys
from oger.teachers.curate.run import curate
from tests.support.planted import options
if __name__ == "__main__":
    curate(options(f"mine=plain:{sys.argv[1]}", workers=2, max_tokens=100_000), sys.argv[2])
"""
_WORDS = 400  # about 2.5 kB a trajectory


@pytest.mark.soak
def test_ten_times_the_trajectories_take_the_same_memory(tmp_path: Path) -> None:
    peaks = {}
    for number in (10_000, 100_000):
        data = _write(tmp_path / f"{number}.jsonl", number)
        start = time.monotonic()
        peaks[number] = _peak(data, tmp_path / f"out{number}")
        megabytes = peaks[number] / 2**20
        print(f"{number} trajectories: peak {megabytes:.0f} MiB, {time.monotonic() - start:.0f} s")
    assert peaks[100_000] < 1.2 * peaks[10_000]


def _write(path: Path, number: int) -> Path:
    """Two trajectories of each of three teachers per prompt; their texts share nothing but words."""
    with open(path, "w") as file:
        for index in range(number):
            prompt, place = divmod(index, 6)
            words = " ".join(str((index * 7919 + n * 104_729) % 99_991) for n in range(_WORDS))
            row = {
                "prompt": f"What is {prompt} plus 1?",
                "answer": str(prompt + 1),
                "teacher": f"teacher{place % 3}",
                "text": f"{words} \\boxed{{{prompt + 1}}}",
            }
            file.write(json.dumps(row) + "\n")
    return path


def _peak(data: Path, out: Path) -> int:
    """Highest sum of the resident sets of the whole process tree, sampled; shared pages count once per process."""
    script = data.with_suffix(".py")
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(("src", ".")), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, script, data, out], env=environment)
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        root = psutil.Process(process.pid)
        while not done.wait(0.05):
            total = 0
            for each in [root, *_children(root)]:
                try:
                    total += each.memory_info().rss
                except psutil.NoSuchProcess:  # it ended while it was looked at
                    continue
            peak = max(peak, total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    assert code == 0
    return peak


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
