"""Answer tokens and the probability of the gold answer after a teacher, on the embedded world's own policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from oger import OGERConfig, OGERTrainer
from oger.teachers.table.turn import plain_turn
from oger.training.groups.answer_logps import answer_logps, reasoning_before_answer
from oger.training.scores.confidence import answer_tokens
from oger.verification.formats import extract_answer
from oger.verification.rewards import accuracy_reward, accuracy_with, format_reward
from oger.worlds import load_world
from tests.support.tiny import contains_answer, quiet_options, toy_dataset
from tests.support.trainers import first_batch

WORLD = load_world("arithmetic")
POLICY = str(WORLD.base_policy())


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(POLICY, padding_side="left")


@pytest.fixture(scope="module")
def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that π and √ are several tokens each."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    texts = ["so the answer is \\boxed{42}", "thus \\boxed{x}"]
    raw.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("12 and \\boxed{12}", "12"),
        ("\\boxed{5} = 2+3, so 5", "5"),
        ("\\boxed{1} no, \\boxed{34}.", "34"),
        ("\\boxed{5}", "5"),
    ],
)
def test_answer_tokens_are_those_of_the_last_box(tokenizer: Any, text: str, answer: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    start, end = answer_tokens(ids, tokenizer)
    assert tokenizer.decode(ids[start:end]) == answer
    assert tokenizer.decode(ids[:start]).endswith("\\boxed{")


@pytest.mark.parametrize("answer", ["42", "2π", "√3+√5", "π"])
@pytest.mark.parametrize("lead", ["", "so √2 ≈ 1.41 and ", "日本 "])
def test_answer_tokens_hold_characters_that_are_split_over_tokens(
    byte_level_tokenizer: Any, lead: str, answer: str
) -> None:
    ids = byte_level_tokenizer(f"{lead}\\boxed{{{answer}}} done")["input_ids"]
    start, end = answer_tokens(ids, byte_level_tokenizer)
    covered = byte_level_tokenizer.decode(ids[start:end])
    assert answer in covered
    assert len(covered) <= len(answer) + 2  # a merge may hold the brace beside it


def test_a_text_without_an_answer_has_no_answer_tokens(tokenizer: Any) -> None:
    assert answer_tokens(tokenizer("3+4=7", add_special_tokens=False)["input_ids"], tokenizer) == (0, 0)


def test_the_reasoning_ends_where_the_answer_begins() -> None:
    assert reasoning_before_answer("7 \\boxed{7} is it") == "7 \\boxed{"
    assert reasoning_before_answer("\\boxed{9}. Thus the answer is 9.") == "\\boxed{"
    assert reasoning_before_answer("\\boxed{\\boxed{3}}, and 3 it is") == "\\boxed{\\boxed{"
    assert reasoning_before_answer("so \\boxed{}") == "so \\boxed{}\n\\boxed{"
    assert reasoning_before_answer("it is 7") == "it is 7\n\\boxed{"


def test_an_answer_that_stands_in_no_box_is_not_given_away() -> None:
    assert reasoning_before_answer("3+4\n#### 7\n") == "3+4\n#### \\boxed{"
    assert reasoning_before_answer("3+4. <answer>7</answer>") == "3+4. <answer>\\boxed{"
    assert reasoning_before_answer("3+4. The answer is 7.") == "3+4. The answer is \\boxed{"
    assert reasoning_before_answer("\\boxed{5}? No.</think> The answer is 7.") == (
        "\\boxed{5}? No.</think> The answer is \\boxed{"
    )
    assert reasoning_before_answer("\\boxed{\\frac{5?</think> \\boxed{7}, so 7") == "\\boxed{\\frac{5?</think> \\boxed{"
    assert reasoning_before_answer("\\boxed{7}</think> Done.") == "\\boxed{"


@pytest.mark.parametrize(
    ("text", "rules", "before"),
    [
        ("\\boxed{7}, so\n#### 9", ("hash_answer",), "\\boxed{7}, so\n#### "),
        ("\\boxed{7}, so\n#### 9", ("last_boxed",), "\\boxed{"),
        ("\\boxed{7}. <answer>9</answer>", ("answer_tag",), "\\boxed{7}. <answer>"),
        (
            "\\boxed{7} </think> 9? \\boxed{9}",
            ("after_think_or_whole", "last_boxed"),
            "\\boxed{7} </think> 9? \\boxed{",
        ),
        ("\\boxed{7}</think> It is 9.", ("last_boxed",), "\\boxed{"),
        ("\\boxed{7}. The answer is 9.", ("answer_phrase",), "\\boxed{7}. The answer is "),
        ("3*3=9.", ("boxed_or_said",), "3*3="),
        (" 9 ", ("whole",), " "),
        (
            "The answer is 9.",
            ("last_boxed",),
            "The answer is \\boxed{",
        ),  # the rule finds none, and it is not given away
    ],
)
def test_the_answer_is_where_the_rules_of_the_run_find_it(
    tokenizer: Any, text: str, rules: tuple[str, ...], before: str
) -> None:
    assert reasoning_before_answer(text, rules) == before
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    start, end = answer_tokens(ids, tokenizer, rules)
    assert tokenizer.decode(ids[start:end]) == (extract_answer(text, rules) or "")


def test_a_trainer_reads_the_rules_from_its_outcome(tmp_path: Path, tokenizer: Any) -> None:
    rows = WORLD.rows("train", limit=4)
    for outcome, rules in ((accuracy_with(["hash_answer"]), ("hash_answer",)), (contains_answer, None)):
        trainer = OGERTrainer(
            POLICY, [format_reward, outcome],
            OGERConfig(**quiet_options(tmp_path, max_completion_length=64, outcome_reward=outcome.__name__)),
            Dataset.from_list(rows), None, tokenizer,
        )  # fmt: skip
        assert trainer._context().answer_rules == rules


@pytest.mark.parametrize(
    "text",
    [
        "3+4\n#### 7",
        "so <answer>7</answer>",
        "The answer is 7. Done",
        "**Answer**: 7",
        "\\boxed{5}? No.</think> The answer is 7.",
    ],
)
def test_answer_tokens_are_found_without_a_box(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    start, end = answer_tokens(ids, tokenizer)
    assert tokenizer.decode(ids[start:end]) == "7"


def make_trainer(tmp_path: Path, rows: list[dict[str, Any]], tokenizer: Any, **options: Any) -> OGERTrainer:
    return OGERTrainer(
        POLICY, accuracy_reward, OGERConfig(**quiet_options(tmp_path, max_completion_length=64, **options)),
        Dataset.from_list(rows), None, tokenizer,
    )  # fmt: skip


def test_the_probability_of_the_gold_answer_equals_a_forward_per_teacher(tmp_path: Path, tokenizer: Any) -> None:
    rows = WORLD.rows("train", limit=4)
    rows[1]["teachers"] = rows[1]["teachers"][:1]
    trainer = make_trainer(tmp_path, rows, tokenizer, teacher_choice="most_comprehensible", temperature=0.7)
    inputs = [row for row in trainer.train_dataset for _ in range(trainer.num_generations)]
    prompt_ids = [tokenizer(row["prompt"])["input_ids"] for row in inputs]
    found = answer_logps(trainer._context(), inputs, prompt_ids)
    assert found is not None
    policy = AutoModelForCausalLM.from_pretrained(POLICY, dtype=torch.float32).eval()
    for index, row in enumerate(trainer.train_dataset):
        assert len(found[index]) == len(row["teachers"])
        for teacher, logp in zip(row["teachers"], found[index].tolist(), strict=True):
            text = row["prompt"] + teacher["text"][: teacher["text"].rindex("\\boxed{") + 7]
            context = tokenizer(text, add_special_tokens=True)["input_ids"]
            answer = tokenizer(row["answer"], add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logits = policy(torch.tensor([context + answer])).logits[0].float() / 0.7
            expected = sum(
                torch.log_softmax(logits[len(context) - 1 + i], dim=-1)[token].item() for i, token in enumerate(answer)
            )
            assert logp == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("choice", ["shortest", "most_comprehensible", "round_robin"])
def test_the_chosen_teacher_is_the_one_that_the_option_names(tmp_path: Path, tokenizer: Any, choice: str) -> None:
    rows = WORLD.rows("train", limit=4)
    trainer = make_trainer(tmp_path, rows, tokenizer, teacher_choice=choice)
    _, stored = first_batch(trainer)
    inputs = [row for row in trainer.train_dataset for _ in range(trainer.num_generations)]
    prompt_ids = [tokenizer(row["prompt"])["input_ids"] for row in inputs]
    logps = answer_logps(trainer._context(), inputs, prompt_ids)
    drawn = {row["prompt"]: row["text"] for row in stored if row["origin"] == "teacher"}
    for index, row in enumerate(trainer.train_dataset):
        if row["prompt"] not in drawn:
            continue
        texts = [teacher["text"] for teacher in row["teachers"]]
        if choice == "shortest":
            assert drawn[row["prompt"]] == min(texts, key=lambda text: len(plain_turn(tokenizer).token_ids(text)))
        elif choice == "most_comprehensible":
            assert logps is not None
            assert drawn[row["prompt"]] == texts[int(logps[index].argmax())]
        else:
            assert drawn[row["prompt"]] in texts


def test_round_robin_goes_on_to_the_next_teacher_at_each_epoch(tmp_path: Path, tokenizer: Any) -> None:
    rows = [row for row in WORLD.rows("train", limit=20) if len(row["teachers"]) == 3][:4]
    trainer = make_trainer(
        tmp_path, rows, tokenizer, teacher_choice="round_robin", max_steps=3, rollouts_every=1,
        gradient_accumulation_steps=2, steps_per_generation=2, learning_rate=0.0,
    )  # fmt: skip
    stored: dict[int, list[dict[str, Any]]] = {}
    trainer.rollout_sinks.append(stored.__setitem__)
    trainer.train()
    for row in rows:
        names = [teacher["teacher"] for teacher in row["teachers"]]
        drawn = [
            r["teacher"] for step in (1, 2, 3) for r in stored[step]
            if r["origin"] == "teacher" and r["prompt"] == row["prompt"]
        ]  # fmt: skip
        first = names.index(drawn[0])
        assert drawn == [names[(first + visit) % 3] for visit in range(3)]


def test_a_set_without_gold_answers_cannot_have_the_most_comprehensible_teacher(tmp_path: Path) -> None:
    from tests.support.trainers import make_trainer as make_toy_trainer

    rows = toy_dataset().remove_columns("answer")
    with pytest.raises(ValueError, match=r"teacher_choice='most_comprehensible' needs .* column 'answer'"):
        make_toy_trainer(tmp_path, rows, teacher_choice="most_comprehensible")


def test_the_answer_span_is_what_the_confidence_is_made_of(tmp_path: Path, tokenizer: Any) -> None:
    trainer = make_trainer(
        tmp_path, WORLD.rows("train", limit=16), tokenizer, entropy_reduction="answer_span", exploration_weight=1.0,
        per_device_train_batch_size=32, shaping_rewards={"tests.training.groups.test_answer_logps:keep": 1.0},
    )  # fmt: skip
    SEEN.clear()
    first_batch(trainer)
    checked = 0
    for group in SEEN:
        for row, text in enumerate(group.texts):
            if group.origin[row] == "teacher":
                continue
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            start, end = answer_tokens(ids, tokenizer)
            mask = group.mask[row]
            chosen = group.token_entropy[row][start:end] if end else group.token_entropy[row][mask]
            assert group.confidence[row].item() == pytest.approx(torch.exp(-chosen.mean()).item(), abs=1e-5)
            checked += end > 0
    assert checked > 5, "the base policy boxes some of its answers"


SEEN: list[Any] = []


def keep(group: Any) -> torch.Tensor:
    """A shaping reward that pays nothing and keeps the groups."""
    SEEN.append(group)
    return torch.zeros(len(group.texts))
