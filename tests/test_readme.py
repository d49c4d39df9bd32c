"""The README's example runs as it stands, with a tiny policy in the place of the one that it downloads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny import tiny_policy, tiny_tokenizer

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no {language} block"
    return found.group(1)


def test_the_example_trains_with_the_teachers_of_the_example_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    tiny_policy().save_pretrained(tmp_path / "policy")
    tiny_tokenizer().save_pretrained(tmp_path / "policy")
    (tmp_path / "problems.jsonl").write_text(block("json") * 8)
    code = block("python").replace("Qwen/Qwen2.5-0.5B", str(tmp_path / "policy"))
    shorter = 'output_dir="out", max_steps=1, max_completion_length=64, report_to=[], use_cpu=True, bf16=False'
    names: dict[str, Any] = {}
    exec(compile(code.replace('output_dir="out"', shorter), "README.md", "exec"), names)
    trainer = names["trainer"]
    assert trainer.state.global_step == 1
    assert trainer.teacher_counts.kept_by_teacher == {"r1": 8, "qwen": 8}


def test_every_command_of_the_table_exists() -> None:
    from typer.main import get_command

    from oger.cli.main import app

    promised = set(re.findall(r"^\| `oger (\w+)", README, re.MULTILINE))
    assert promised <= set(get_command(app).commands)  # type: ignore[attr-defined]
    assert {"quickstart", "train", "preview", "evaluate", "sample", "recipes"} <= promised
