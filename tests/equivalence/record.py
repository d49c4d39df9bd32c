"""Records what `tests/equivalence` compares with: python -m tests.equivalence.record [--rollouts]

tests/golden/equivalence.json               losses, gradients and metrics of each scenario: one process, one forward
tests/golden/equivalence_rollouts.parquet   the rollouts that all runs train on; sampled anew only with --rollouts

References are of a commit, so it refuses where the working tree has changes that no commit holds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import torch
import transformers
import trl

from tests.equivalence.references import reference
from tests.equivalence.runs import (
    ONE_FORWARD,
    REFERENCES,
    ROLLOUTS,
    ROOT,
    SCENARIOS,
    make_inputs,
    options,
    replayed,
    train,
)


def changes(root: Path) -> str:
    """What `git status` says of uncommitted files, new ones included; empty for a clean tree."""
    return _git(root, "status", "--porcelain")


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def main(*arguments: str, root: Path = ROOT) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.equivalence.record")
    parser.add_argument("--rollouts", action="store_true", help="sample the rollouts anew, too")
    chosen = parser.parse_args(arguments)
    if dirty := changes(root):
        raise SystemExit(f"error: commit or put away these changes first, references are of a commit:\n{dirty}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_inputs(folder)
        if chosen.rollouts:
            train(options(folder, folder / "sampled", "oger", ONE_FORWARD, "rollouts=record"), ONE_FORWARD)
            batches = pq.read_table(folder / "sampled" / "batches")
            pq.write_table(batches, ROLLOUTS, compression="zstd", write_page_checksum=True)
        scenarios = {name: reference(replayed(folder, folder / name, name, ONE_FORWARD)) for name in SCENARIOS}
    document = {
        "commit": _git(root, "rev-parse", "HEAD"),
        "command": " ".join(["python -m tests.equivalence.record", *arguments]),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__},
        "scenarios": scenarios,
    }
    REFERENCES.write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
