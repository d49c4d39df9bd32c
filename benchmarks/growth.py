r"""What happens when everything gets larger: does a rollout, a teacher, a trajectory cost what it cost before?

    python -m benchmarks.growth --out DIR                    # every piece; a second call goes on with what is missing
    python -m benchmarks.growth --out DIR --piece report     # may be given several times
    python -m benchmarks.growth --out DIR --quick            # smaller, to try it

- rollouts: OGER's step on the embedded policy with 64 to 2,048 rollouts, in turn: milliseconds of a rollout;
- teachers: the same step with 1, 4 and 16 teachers of every prompt, in turn: what one more teacher of a prompt adds;
- curation: `curate` of 10^4, 10^5 and (--most 1000000) 10^6 generated trajectories with integers as answers, each in a
  process of its own: milliseconds of a trajectory, peak memory;
- pool: 2,000 trajectories whose answers math-verify has to read, curated, beside the verifier pool alone, in turn;
- report: `oger report` of a run of 5,000 steps with 200,000 stored rollouts: seconds and bytes;
- tables: `oger compare --tables` of 1,000 cells: seconds.

Every result is a line of JSON, in DIR/growth.jsonl too. Seconds are those of this process and those it started on the
CPU, as "cpu", and of the wall clock, as "wall"; other work on the machine disturbs the former less.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.step_time import Machine, in_process, timed_scales, timed_teachers

_LOG = "growth.jsonl"
MIB = 2**20


def main() -> None:
    """Measure what is missing and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--piece", action="append", choices=PIECES, metavar="NAME", help=", ".join(PIECES))
    parser.add_argument("--quick", action="store_true", help="a hundredth of the size, to try it")
    parser.add_argument("--rounds", type=int, default=3, help="of the pieces that take turns")
    parser.add_argument("--most", type=int, default=100_000, help="trajectories of the largest curation")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONWARNINGS"] = "ignore"
    arguments.out.mkdir(parents=True, exist_ok=True)
    log = arguments.out / _LOG
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    done = {key(entry): entry for entry in map(json.loads, lines)}
    for piece in arguments.piece or PIECES:
        for size, measure in PIECES[piece](arguments):
            entry = {"piece": piece, "size": size, "quick": arguments.quick}
            if key(entry) not in done:
                entry |= measure()
                entry["load_average"] = round(os.getloadavg()[0], 1)
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")
                done[key(entry)] = entry
            print(json.dumps(done[key(entry)]), flush=True)


def key(entry: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two results the same measurement."""
    return entry["piece"], entry["size"], entry["quick"]


Pieces = Iterator[tuple[int, Callable[[], dict[str, Any]]]]


def rollouts(arguments: argparse.Namespace) -> Pieces:
    """One measurement of all sizes: they take turns."""
    scales = (64, 128) if arguments.quick else (64, 128, 256, 512, 1024, 2048)

    def measure() -> dict[str, Any]:
        from benchmarks.step_time_report import scaling_line

        return scaling_line(in_process(timed_scales, arguments.rounds, Machine("cpu", 1, "cpu"), scales))

    yield scales[-1], measure


def teachers(arguments: argparse.Namespace) -> Pieces:
    """One measurement of all numbers of teachers."""
    numbers = (1, 2) if arguments.quick else (1, 4, 16)

    def measure() -> dict[str, Any]:
        laps = in_process(timed_teachers, arguments.rounds, Machine("cpu", 1, "cpu"), numbers)
        seconds = {name: statistics.median(lap.seconds for lap in each) for name, each in laps.items()}
        prompts = len(laps[str(numbers[0])][0].response_lengths) / 8
        first, last = str(numbers[0]), str(numbers[-1])
        rises = [b.seconds / a.seconds - 1 for a, b in zip(laps[first], laps[last], strict=True)]
        more = (seconds[last] - seconds[first]) / (numbers[-1] - numbers[0]) / prompts
        return {
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "rise": round(statistics.median(rises), 4),
            "ms_per_teacher": round(1e3 * more, 4),
        }

    yield numbers[-1], measure


def curation(arguments: argparse.Namespace) -> Pieces:
    """Ten times as many each time."""
    sizes = [10**power for power in (2, 3) if arguments.quick] or [10**power for power in (4, 5, 6)]
    for size in sizes:
        if size <= max(arguments.most, sizes[0]):
            yield size, lambda size=size: in_process(curated, size, False)  # type: ignore[misc]


def pool(arguments: argparse.Namespace) -> Pieces:
    """Curation and the pool alone, in turn."""
    size = 50 if arguments.quick else 2_000

    def measure() -> dict[str, Any]:
        ratios, both = [], []
        for _ in range(min(arguments.rounds, 2)):
            alone, whole = in_process(pooled, size), in_process(curated, size, True)
            ratios.append(whole["ms_cpu"] / alone["ms_cpu"])
            both.append((alone, whole))
        alone, whole = both[-1]
        return {"over_pool": round(statistics.median(ratios), 3), "pool": alone, "curation": whole}

    yield size, measure


def report(arguments: argparse.Namespace) -> Pieces:
    """`oger report` of a long run."""
    steps, rollouts_every = (50, 25) if arguments.quick else (5_000, 25)
    size = steps // rollouts_every * 1_000

    def measure() -> dict[str, Any]:
        from tests.support.run_folders import make_run

        with TemporaryDirectory(dir=arguments.out) as folder:
            run = make_run(Path(folder) / "run", steps=steps, rollouts_every=rollouts_every, groups=200, probes=4)
            found = command("report", str(run), "--out", str(Path(folder) / "report.html"))
            return {**found, "steps": steps, "megabytes": round((Path(folder) / "report.html").stat().st_size / 1e6, 2)}

    yield size, measure


def tables(arguments: argparse.Namespace) -> Pieces:
    """`oger compare --tables` of many cells."""
    methods, seeds = (2, 5) if arguments.quick else (20, 10)

    def measure() -> dict[str, Any]:
        with TemporaryDirectory(dir=arguments.out) as folder:
            study = store_study(Path(folder), methods=methods, seeds=seeds, regimes=5)
            return command("compare", str(study), "--out", str(Path(folder) / "out"), "--tables")

    yield methods * seeds * 5, measure


PIECES: dict[str, Callable[[argparse.Namespace], Pieces]] = {
    "rollouts": rollouts, "teachers": teachers, "pool": pool, "report": report, "tables": tables, "curation": curation,
}  # fmt: skip


# --- what is measured -------------------------------------------------------------------------------------------------


def trajectories(size: int, *, hard: bool) -> Iterator[dict[str, str]]:
    """Rows of the layout `plain`, every text its own: two teachers of each problem, one answer in ten wrong."""
    draw = random.Random(0)
    for index in range(size):
        problem, wrong = index // 2, index % 10 == 0
        gold = f"\\frac{{{problem + 1}}}{{{problem + 2}}}+\\sqrt{{{problem % 89 + 2}}}" if hard else str(problem)
        answer = f"{gold}+1" if wrong else gold
        words = " ".join(str(draw.randrange(10**6)) for _ in range(30))
        yield {
            "prompt": f"Problem {problem}",
            "answer": gold,
            "text": f"{words}, so \\boxed{{{answer}}}",
            "teacher": f"t{index % 2}",
        }


def curated(size: int, hard: bool) -> dict[str, Any]:
    """A whole curation with one worker; run it in a process of its own."""
    from oger.teachers.curate.options import CurateOptions, Source
    from oger.teachers.curate.run import curate

    with TemporaryDirectory() as folder:
        source = Path(folder) / "source.jsonl"
        with source.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in trajectories(size, hard=hard))
        options = CurateOptions(sources=(Source("bench", "plain", str(source)),), tokenizer="characters", workers=1)
        with stopwatch(size) as found:
            done = curate(options, Path(folder) / "out")
    assert sum(done.rows.values()) == size
    return found


def pooled(size: int) -> dict[str, Any]:
    """The verdicts of the same trajectories by the pool alone, with one worker."""
    from oger.verification import VerifierPool

    rows = list(trajectories(size, hard=True))
    with VerifierPool(workers=1) as graders, stopwatch(size) as found:
        graders.verify_many([row["answer"] for row in rows], [row["text"] for row in rows], kind="math", timeout_s=60)
    return found


@contextmanager
def stopwatch(size: int) -> Iterator[dict[str, Any]]:
    """Milliseconds per row by both clocks, and the most memory of this process and of the largest one it started."""
    found: dict[str, Any] = {}
    wall, cpu = time.perf_counter(), _cpu()
    yield found
    found["ms_wall"] = round(1e3 * (time.perf_counter() - wall) / size, 4)
    found["ms_cpu"] = round(1e3 * (_cpu() - cpu) / size, 4)
    found["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB)
    left = [child.memory_info().rss for child in psutil.Process().children(recursive=True)]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    found["worker_peak_mib"] = round(max([ended, *left]) / MIB)


def _cpu() -> float:
    """Seconds of this process and of those it started, which have ended or wait for more."""
    times = os.times()
    left = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return (
        times.user + times.system + times.children_user + times.children_system + sum(t.user + t.system for t in left)
    )


def command(*arguments: str) -> dict[str, Any]:
    """An `oger` command by both clocks, its imports included."""
    wall, cpu = time.perf_counter(), _cpu()
    done = subprocess.run([sys.executable, "-m", "oger", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return {"wall": round(time.perf_counter() - wall, 2), "cpu": round(_cpu() - cpu, 2)}


def store_study(folder: Path, *, methods: int, seeds: int, regimes: int, problems: int = 100) -> Path:
    """A study's file and its stored results, made of coins."""
    import numpy as np
    import pyarrow as pa
    import yaml

    from oger.study.store import CURVES, OUTCOMES, RESULTS, ResultStore

    draw, samples, steps = np.random.default_rng(0), 8, 10
    labels = ["grpo", *(f"m{number}" for number in range(1, methods))]
    places = [f"r{number}" for number in range(regimes)]
    source = {"train": "world:arithmetic/train", "validation": "world:arithmetic/validation"}
    document = {
        "name": "large", "recipe": "smoke", "reference": "grpo", "budget": {"steps": steps},
        "set": {"rollouts_every": 0}, "seeds": list(range(seeds)),
        "regimes": {place: {**source, "test": {"id": "world:arithmetic/test"}} for place in places},
        "methods": {label: {"method": "grpo"} for label in labels}, "evaluation": {"samples": samples},
    }  # fmt: skip
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    rows: dict[str, list[dict[str, Any]]] = {"results": [], "outcomes": [], "curves": []}
    for place in places:
        for number, label in enumerate(labels):
            for seed in range(seeds):
                cell = f"{place}/{label}/seed-{seed}"
                measure = {"cell": cell, "evaluation": "standard", "policy": "last", "split": "id"}
                correct = draw.binomial(samples, 0.3 + 0.02 * number, problems)
                rows["outcomes"] += [
                    {**measure, "problem": index, "family": "", "samples": samples, "correct": int(count),
                     "outcomes": "1" * int(count) + "0" * int(samples - count)}
                    for index, count in enumerate(correct)
                ]  # fmt: skip
                rows["results"].append(
                    {**measure, "identity": "x", "kind": "main", "regime": place, "method": label, "seed": seed,
                     "tuned": "", "problems": problems, "samples": samples, "pass_at": "{}", "settings": "{}",
                     "accuracy": float(correct.mean() / samples), "wall_seconds": 60.0, "versions": "{}",
                     "command": "", "machine": "", "date": "2026-01-01", "steps": steps, "generated_tokens": 400,
                     "train_seconds": 4.0, "workers": 1, "threads": 1}
                )  # fmt: skip
                rows["curves"] += [
                    {"cell": cell, "step": step, "validation": step / steps, "entropy": 1.0 / step,
                     "generated_tokens": 100 * step, "seconds": float(step)}
                    for step in range(1, steps + 1)
                ]  # fmt: skip
    store = ResultStore(folder / "out" / "results")
    schemas = {"results": RESULTS, "outcomes": OUTCOMES, "curves": CURVES}
    store.tables = {name: pa.Table.from_pylist(rows[name], schema=schema) for name, schema in schemas.items()}
    store.save()
    return path


if __name__ == "__main__":
    main()
