"""Reward functions take what TRL hands them and give one number per completion."""

import pytest

from oger.verification import accuracy_reward, accuracy_verdicts, accuracy_with, format_reward
from oger.worlds import load_world


def test_accuracy_is_one_zero_or_undecided() -> None:
    completions = [r"\boxed{4}", r"\boxed{5}", "none", r"\boxed{4}"]
    kinds = ["exact", "exact", "exact", "reasoning_gym"]  # the last one lacks its metadata: undecided
    rewards = accuracy_reward(prompts=["p"] * 4, completions=completions, answer=["4"] * 4, kind=kinds)
    assert rewards == [1.0, 0.0, 0.0, None]


def test_accuracy_without_a_kind_is_math() -> None:
    assert accuracy_reward(["p"], [r"\boxed{0.5}"], answer=[r"\frac{1}{2}"]) == [1.0]


def test_what_the_prompt_counts_may_stand_behind_the_number() -> None:
    counted, negated = r"\boxed{5\text{ wombats}}", r"\boxed{5\text{ not wombats}}"
    asked = "How many wombats are left?"
    chat = [{"role": "system", "content": "Solve it."}, {"role": "user", "content": asked}]
    parts = [{"role": "user", "content": [{"type": "text", "text": asked}]}]
    prompts = [asked, chat, parts, "How many are left?", asked]
    rewards = accuracy_reward(prompts, [*[counted] * 4, negated], answer=["5"] * 5)
    assert rewards == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert accuracy_reward([asked], [counted], answer=["5"], metadata=[{"question": "How many?"}]) == [0.0]


def test_completions_may_be_chat_messages() -> None:
    chat = [{"role": "assistant", "content": r"\boxed{4}"}]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": r"\boxed{4}"}]}]
    empty = [{"role": "assistant", "content": None}]
    assert accuracy_reward(["p"] * 3, [chat, parts, empty], answer=["4"] * 3) == [1.0, 1.0, 0.0]
    assert format_reward(completions=[chat, parts, empty], prompts=["p"] * 3) == [1.0, 1.0, 0.0]


def test_further_columns_and_trainer_arguments_are_ignored() -> None:
    assert accuracy_reward(["p"], [r"\boxed{4}"], answer=["4"], teachers=[[]], trainer_state=None) == [1.0]


def test_columns_of_another_length_are_an_error() -> None:
    with pytest.raises(ValueError, match="1 gold answers for 2 responses"):
        accuracy_reward(["p"] * 2, ["a", "b"], answer=["4"])


def test_rows_of_a_world_can_be_rewarded_directly() -> None:
    rows = load_world("arithmetic").rows("validation", limit=8)
    columns = {name: [row[name] for row in rows] for name in ("answer", "kind", "metadata", "teachers", "family")}
    prompts = [row["prompt"] for row in rows]
    right = [f"\\boxed{{{row['answer']}}}" for row in rows]
    assert accuracy_reward(prompts=prompts, completions=right, **columns) == [1.0] * 8
    assert accuracy_reward(prompts=prompts, completions=[r"\boxed{x}"] * 8, **columns) == [0.0] * 8


def test_the_verdicts_behind_the_rewards_can_be_had() -> None:
    verdicts = accuracy_verdicts([r"\boxed{1}", "none"], ["1", "1"], kind=["math", None])
    assert [(verdict.status, verdict.extracted) for verdict in verdicts] == [("correct", "1"), ("wrong", None)]


def test_a_reward_with_other_rules_has_a_name_of_its_own() -> None:
    reward = accuracy_with(["after_think", "hash_answer"])
    completions = ["<think>#### 2</think>\n#### 3", "<think>\n#### 3"]
    assert reward(["p"] * 2, completions, answer=["3", "3"], teachers=[[], []]) == [1.0, 0.0]
    assert reward.__name__ == "accuracy_after_think_hash_answer"
    assert accuracy_with(["hash_answer"], name="gsm8k").__name__ == "gsm8k"
    with pytest.raises(ValueError, match="did you mean 'hash_answer'"):
        accuracy_with(["hash_anwser"])


def test_rewards_work_in_a_stock_grpo_trainer(tmp_path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    policy = load_world("arithmetic").base_policy()
    rows = Dataset.from_list([{"prompt": "1+1=", "answer": "2", "kind": "math"}] * 4)
    config = GRPOConfig(
        output_dir=str(tmp_path),
        num_generations=4,
        per_device_train_batch_size=4,
        max_completion_length=4,
        max_steps=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    rewards = [accuracy_reward, accuracy_with(["hash_answer"], name="hashes"), format_reward]
    trainer = GRPOTrainer(str(policy), rewards, config, rows)
    trainer.train()
    log = trainer.state.log_history[0]
    assert {f"rewards/{name}/mean" for name in ("accuracy_reward", "hashes", "format_reward")} <= set(log)
