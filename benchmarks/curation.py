"""How fast are teacher trajectories curated, beside one core that does nothing but grade them?

    python -m benchmarks.curation            # about two minutes on two idle cores
    python -m benchmarks.curation --quick    # under a minute

The responses of `benchmarks.verification` (2,000 characters each; integers, and the mathematical cases of the test
corpus), as trajectories of two teachers in a file. Three ways, in turn (A B C A B C ...):

- plain: math-verify's `parse` and `verify` of every trajectory in this process, and nothing else;
- one worker, two workers: `curate` from the file to the verified table: reading, answer rules, verdicts, lengths,
  duplicates, grouping, card and rejects. Each in a process of its own, since a process remembers verdicts;
  what it starts itself, workers and their imports, is within the time.

Prints medians of wall time and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.step_time import in_process
from benchmarks.verification import Pairs, integer_pairs, mixed_pairs, plain_verdict, time_plain
from oger.teachers.curate.options import CurateOptions, Source
from oger.teachers.curate.run import curate

PLAIN, ONE, TWO = "plain", "one worker", "two workers"


def main() -> None:
    """Measure, print the table and the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer trajectories, two repetitions")
    quick = parser.parse_args().quick
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    plain_verdict("1", r"\boxed{2}")  # the imports, before any clock starts
    sets = {"integers": integer_pairs(400 if quick else 2000), "mix": mixed_pairs(200 if quick else 600)}
    table = Table("set", "trajectories", "way", "ms per trajectory", "least to most", "times plain")
    line: dict[str, object] = {"cores": len(os.sched_getaffinity(0))}
    for name, pairs in sets.items():
        times = measured(pairs, repetitions=2 if quick else 3)
        for way, values in times.items():
            speed = statistics.median(a / b for a, b in zip(times[PLAIN], values, strict=True))
            spread = f"{min(values):.2f} to {max(values):.2f}"
            table.add_row(name, str(len(pairs)), way, f"{statistics.median(values):.2f}", spread, f"{speed:.2f}")
            line[f"{name}_{way.replace(' ', '_')}"] = {
                "ms": round(statistics.median(values), 3),
                "ratio": round(speed, 3),
            }
    Console(width=100).print(table)
    print(json.dumps(line | {"load_average": round(os.getloadavg()[0], 1)}))


def measured(pairs: Pairs, repetitions: int) -> dict[str, list[float]]:
    """Milliseconds per trajectory, by way, one number per repetition."""
    with TemporaryDirectory() as folder:
        source = written(pairs, Path(folder) / "source.jsonl")
        ways: dict[str, Callable[[], float]] = {
            PLAIN: partial(time_plain, pairs),
            ONE: partial(in_process, time_curation, source, 1),
            TWO: partial(in_process, time_curation, source, 2),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(repetitions):
            for way, run in ways.items():
                times[way].append(1000 * run() / len(pairs))
    return times


def written(pairs: Pairs, path: Path) -> Path:
    """The pairs as rows of the layout `plain`: a prompt of its own for each gold answer, two teachers in turn."""
    with path.open("w", encoding="utf-8") as file:
        for index, (gold, response) in enumerate(pairs):
            row = {"prompt": f"Problem {gold}", "answer": gold, "text": response, "teacher": f"t{index % 2}"}
            file.write(json.dumps(row) + "\n")
    return path


def time_curation(source: Path, workers: int) -> float:
    """Seconds from the file to the table."""
    options = CurateOptions(sources=(Source("bench", "plain", str(source)),), tokenizer="characters", workers=workers)
    with TemporaryDirectory(dir=source.parent) as folder:
        began = time.perf_counter()
        report = curate(options, Path(folder) / "out")
        seconds = time.perf_counter() - began
    assert sum(report.rows.values()) == len(source.read_text(encoding="utf-8").splitlines())
    return seconds


if __name__ == "__main__":
    main()
