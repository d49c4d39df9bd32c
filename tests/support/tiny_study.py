"""A study of seconds: eight problems, two steps, the arithmetic world's base policy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from oger.worlds import load_world

SPLITS = {"train": 8, "validation": 6, "test": 8}


def write_data(folder: Path) -> None:
    """The splits as .jsonl: a world's whole training split takes longer to curate than the study to run."""
    world = load_world("arithmetic")
    for split, limit in SPLITS.items():
        rows = world.rows(split, limit=limit)
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def document(**changes: Any) -> dict[str, Any]:
    """A study as its file holds it; paths are relative to the folder that `write_data` filled."""
    return {
        "name": "tiny",
        "recipe": "smoke",
        "reference": "grpo",
        "set": {"rollouts_every": 0, "per_device_train_batch_size": 8, "save_steps": 1, "eval_steps": 1},
        "budget": {"steps": 2},
        "seeds": [0],
        "regimes": {"easy": {"train": "train.jsonl", "validation": "validation.jsonl", "test": {"id": "test.jsonl"}}},
        "methods": {"grpo": {}, "oger": {}},
        "evaluation": {"samples": 4},
        **changes,
    }


def write_study(folder: Path, **changes: Any) -> Path:
    """FOLDER/study.yaml."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(document(**changes), sort_keys=False))
    return path


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "oger.cli.main", "compare", "study.yaml", *options]


def run(folder: Path, *options: str, timeout: float = 500) -> subprocess.CompletedProcess[str]:
    """`oger compare study.yaml` in a folder."""
    return subprocess.run(command(*options), cwd=folder, capture_output=True, text=True, timeout=timeout)
