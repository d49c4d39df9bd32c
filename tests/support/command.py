"""Run the command in this process, and a run folder with tiny policies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from oger.cli.main import main
from tests.support.tiny import tiny_policy, tiny_tokenizer


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def oger(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("OGER_DEBUG", raising=False)

    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(caught.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the policies model (seed 0), best (seed 1) and checkpoints of the steps 2 and 10 (seeds 2 and 3)."""
    run = tmp_path_factory.mktemp("runs") / "mine"
    for seed, name in enumerate(("model", "best", "checkpoints/checkpoint-2", "checkpoints/checkpoint-10")):
        save_policy(run / name, seed)
    rows = [{"prompt": f"{n}+1=?", "answer": str(n + 1), "family": "sum" if n % 2 else "other"} for n in range(4)]
    data = run / "test.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "config.yaml").write_text(
        f"model: tiny\ntrain: {data}\ntest: {{id: {data}}}\neval_samples: 2\neval_limit: 3\nmax_completion_length: 6\n"
    )
    return run


def save_policy(folder: Path, seed: int) -> None:
    tiny_policy(seed).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
