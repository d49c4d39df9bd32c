"""`oger doctor`: a whole installation passes, a broken part is named and ends with 1."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from oger.cli.doctor import doctor
from oger.cli.main import app
from oger.planning import doctor as parts

if "doctor" not in [command.name for command in app.registered_commands]:
    app.command("doctor")(doctor)


def test_a_whole_installation_passes(oger) -> None:
    done = oger("doctor")
    assert done.code == 0, done.out
    for name in ("oger 0.", "CPU cores", "torch ", "verifier", "encoder", "training step"):
        assert name in done.out
    assert "vllm                  missing for use_vllm" in done.out or "vllm                  ok" in done.out
    assert "everything that a run needs works" in done.out


def test_a_part_that_fails_is_named_and_the_others_still_run(oger, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise OSError("the worker\ndied")

    monkeypatch.setattr(parts, "CHECKS", {"verifier": broken, "encoder": parts.CHECKS["encoder"]})
    done = oger("doctor")
    assert done.code == 1
    assert "broken  OSError: the worker died" in done.out
    assert "encoder               ok" in done.out
    assert "broken: verifier" in done.out


def test_a_required_version_that_is_too_old_is_broken() -> None:
    found = {finding.name: finding for finding in parts.required_versions({"trl": "1.15.0"})}
    assert found["trl"].fails
    assert "pip install 'trl" in found["trl"].detail
    assert not found["torch"].fails


def test_an_optional_part_that_cannot_be_imported_is_broken_and_fails_nothing(monkeypatch, tmp_path) -> None:
    (tmp_path / "half_installed.py").write_text("raise RuntimeError('no library')")
    monkeypatch.syspath_prepend(tmp_path)
    part = parts.OptionalPart(module="half_installed", package="half-installed", serves="nothing", install="it")
    monkeypatch.setattr(parts, "OPTIONAL", (part,))
    [finding] = parts.optional_parts()
    assert (finding.status, finding.detail, finding.fails) == ("broken", "RuntimeError: no library", False)


def test_an_encoder_whose_vectors_are_all_alike_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    import oger.encoders

    class Blind:
        def encode(self, texts: list[str]) -> torch.Tensor:
            return torch.ones(len(texts), 1)

    monkeypatch.setattr(oger.encoders, "create_encoder", lambda spec: Blind())
    monkeypatch.setattr(parts, "CHECKS", {"encoder": parts.CHECKS["encoder"]})
    [finding] = parts.self_test()
    assert finding.fails


def data_recipe(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = {"model": "world:arithmetic", "train": str(tmp_path / "mine.jsonl"), "output_dir": str(tmp_path / "run")}
    keys |= {"num_generations": 4, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "bf16": False,
             "max_completion_length": 32}  # fmt: skip
    (tmp_path / "mine.yaml").write_text(json.dumps(keys))
    return str(tmp_path / "mine.yaml")


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_: object, **__: object) -> None:
        pytest.fail("a policy was loaded")

    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", loaded)


@pytest.mark.usefixtures("no_weights")
def test_the_users_own_data_are_looked_at_without_a_model_and_within_20_seconds(oger, tmp_path: Path) -> None:
    rows = [{"prompt": f"{n} + 1 = ", "answer": n + 1, "teachers": ["so it is 3"]} for n in range(2000)]
    began = time.process_time()
    done = oger("doctor", "--data", data_recipe(tmp_path, rows))
    assert time.process_time() - began < 20
    assert done.code == 0, done.out
    for line in (
        "prompts               ok      2,000 in ",
        "answers               ok      gold answers: 2000 read by the rule as_it_is",
        "answers               warning no teacher text passes the answer rule last_boxed",
        "batch                 ok      2 prompts with 4 rollouts each",
        "lengths               ok ",
        "teachers              ok ",
        "a run can start from these data",
    ):
        assert line in done.out


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": "1?", "answer": "1", "teachers": ["\\boxed{1}"]}], "has 1 prompts, and one rollout batch takes 2"),
        ([{"prompt": "1?", "answer": {"a": 1}, "teachers": []}] * 9, "mine.jsonl, row 0: the answer is dict"),
        ([{"prompt": "1?", "answer": "1", "teachers": [3]}] * 9, "row 0: column 'teachers': entry 3 is neither"),
    ],
)
def test_data_that_cannot_be_used_are_one_line(oger, tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    done = oger("doctor", "--data", data_recipe(tmp_path, rows))
    assert done.code == 2
    assert said in done.err


@pytest.mark.usefixtures("no_weights")
def test_texts_that_end_inside_their_thoughts_are_a_warning(oger, tmp_path: Path) -> None:
    rows = [{"prompt": f"{n} + 1 = <think>\n", "answer": n + 1, "teachers": [f"\\boxed{{{n + 1}}}"]} for n in range(9)]
    done = oger("doctor", "--data", data_recipe(tmp_path, rows))
    assert done.code == 0, done.out
    assert "teachers              warning of 9 teacher trajectories, 9 never close <think>" in done.out


def test_overrides_need_data(oger) -> None:
    assert "name one with --data" in oger("doctor", "seed=1").err
