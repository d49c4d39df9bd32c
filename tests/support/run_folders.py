"""Run folders made by the project's own writers, as large or as odd as a test needs them."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from oger.encoders import create_encoder
from oger.encoders.identity import identity_record
from oger.io import yaml as yaml_dialect
from oger.reporting.report.curves import PANELS
from oger.runs.metrics_log import MetricsLog, read_metrics
from oger.runs.rollouts import PROBES, write_rollouts

TEACHERS = ("brisk", "calm")
COSTS = ("time/generate", "time/score", "time/logprob", "time/update")


def make_run(
    path: Path,
    *,
    steps: int = 4,
    seed: int = 0,
    rollouts_every: int = 1,
    groups: int = 2,
    text: str = "2+2=4, so \\boxed{4}",
    config: dict[str, Any] | None = None,
    finished: bool = True,
    alarms: dict[int, dict[str, str]] | None = None,
    probes: int = 0,
) -> Path:
    """A run of `steps` steps with every file; each text of a rollout is `text` and a number that makes it unique.

    `probes` is the number of probed prompts.
    """
    draw = random.Random(seed)
    path.mkdir(parents=True)
    options = {"model": "tiny", "train": "gone.jsonl", "preset": "luffy_code", "teacher_rows": 1, "encoder": "ngram",
               "exploration_weight": 1.0, "per_device_train_batch_size": 8,
               "max_steps": steps, "seed": seed, "output_dir": str(path)}  # fmt: skip
    (path / "config.yaml").write_text(yaml_dialect.dump({**options, **(config or {})}))
    (path / "environment.json").write_text(json.dumps({"oger": "0", "python": "3.11", "packages": {"torch": "2"}}))
    (path / "encoder.json").write_text(json.dumps(identity_record(create_encoder("ngram"))))
    metrics, histograms = MetricsLog(path / "metrics.jsonl"), MetricsLog(path / "histograms.jsonl")
    for step in range(1, steps + 1):
        row = {name: draw.random() for name in PANELS if name != "eval/outcome"}
        row |= dict.fromkeys(COSTS, 0.5) | {"time/step": 2.5, "completions/mean_length": 20.0}
        metrics.log(step, row | ({"eval/outcome": step / steps} if step % 2 == 0 else {}))
        counts = [draw.randrange(20) for _ in range(20)]
        histograms.log(step, {name: {"range": [0.0, 1.0], "counts": counts} for name in ("divergence", "bonus")})
        if step % rollouts_every == 0:
            write_rollouts(path, step, [row for group in range(groups) for row in group_rows(draw, step, group, text)])
    for step in range(0, steps + 1, rollouts_every) if probes else ():
        rows = [row for prompt in range(probes) for row in probe_rows(step, prompt, text)]
        write_rollouts(path, step, rows, store=PROBES)
    for step, rang in (alarms or {}).items():
        MetricsLog(path / "alarms.jsonl").log(step, rang)
    if finished:
        evaluation = {"pass@1": 0.25, "ci95": [0.125, 0.375], "pass@8": 0.5, "problems": 40, "samples": 8}
        summary = {"before": {"id": evaluation}, "after": {"id": {**evaluation, "pass@1": 0.5, "ci95": [0.375, 0.625]}},
                   "steps": steps, "wall_seconds": 61.0, "seed": seed}  # fmt: skip
        (path / "summary.json").write_text(json.dumps(summary))
    return path


def group_rows(draw: random.Random, step: int, group: int, text: str, size: int = 4) -> list[dict[str, Any]]:
    """Rows 0 .. size - 1, the last one a teacher's, then the rollout that it replaced."""
    rows = []
    for place in range(size):
        teacher = place == size - 1
        outcome = float(teacher or place % 2 == 0)
        bonus = None if teacher else round(outcome * draw.random(), 3)
        row = {"group": group, "row": place, "prompt": f"problem {group}", "origin": "teacher" if teacher else "online",
               "text": f"{text} [{step}.{group}.{place}]", "outcome": outcome, "bonus": bonus, "truncated": False,
               "num_tokens": draw.randrange(5, 60), "reward": outcome + (bonus or 0), "advantage": outcome - 0.5,
               "teacher": TEACHERS[(step + group) % 2] if teacher else None}  # fmt: skip
        if not teacher:
            row |= {"divergence": draw.random(), "entropy_last": 0.1, "entropy_mean": 0.2, "confidence": 0.9,
                    "shaping": {"oger": bonus}}  # fmt: skip
        rows.append(row)
    replaced = {name: rows[0][name] for name in ("group", "prompt", "truncated", "num_tokens")}
    rows.append({**replaced, "row": size - 1, "origin": "replaced", "text": f"{text} [{step}.{group}.replaced]",
                 "outcome": 1.0, "divergence": 0.2, "reward": 1.0})  # fmt: skip
    return rows


def probe_rows(step: int, group: int, text: str) -> list[dict[str, Any]]:
    """Two teachers of a prompt, and four rollouts, two of them equal, whose vectors turn away step by step."""
    common = {"group": group, "prompt": f"probe {group}", "truncated": False, "num_tokens": 9}
    rows: list[dict[str, Any]] = []
    for place in range(4):
        angle = 0.1 * step + 0.2 * max(place, 1) + group
        rows.append({**common, "row": place, "origin": "online", "text": f"{text} [{step}.{group}.{max(place, 1)}]",
                     "outcome": (1.0, 1.0, 0.0, None)[place], "divergence": (step + place) / 100,
                     "vector": [math.cos(angle), math.sin(angle), 0.1]})  # fmt: skip
    for place, name in enumerate(TEACHERS):
        rows.append({**common, "row": 4 + place, "origin": "teacher", "teacher": name, "text": f"{text} {name}",
                     "outcome": 1.0, "vector": [1.0, 0.2 * place, float(group)]})  # fmt: skip
    return rows


def comparable(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock."""
    clocks = ("time", "per_second", "runtime")
    return [
        {name: value for name, value in row.items() if not any(clock in name for clock in clocks)}
        for row in read_metrics(folder / "metrics.jsonl")
    ]
