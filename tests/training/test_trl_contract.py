"""The TRL internals that OGERTrainer stands on. A failure here names what changed, before anything trains wrongly."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from transformers.trainer import TRAINER_STATE_NAME, Trainer
from trl import GRPOTrainer
from trl.trainer import utils
from trl.trainer.utils import RepeatSampler

from oger import OGERConfig, OGERTrainer
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset

PARAMETERS = {
    "_generate": ["self", "prompts"],
    "_generate_and_score_completions": ["self", "inputs"],
    "_generate_single_turn": [
        "self", "prompt_ids", "images", "multimodal_fields", "num_generations", "has_tool_images",
    ],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_compute_loss": ["self", "model", "inputs"],
    "_prepare_inputs": ["self", "generation_batch"],
    "_get_train_sampler": ["self", "dataset"],
    "get_high_entropy_mask": ["self", "entropies", "mask", "threshold"],
    "get_off_policy_mask": [
        "advantages", "per_token_logps", "sampling_per_token_logps", "mask", "off_policy_threshold",
    ],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
    "_save_checkpoint": ["self", "model", "trial"],
    "log": ["self", "logs", "start_time"],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_method_keeps_its_parameters(name: str) -> None:
    method = getattr(GRPOTrainer, name, None)
    assert method is not None, f"trl.GRPOTrainer.{name} is gone; OGERTrainer overrides or calls it"
    found = list(inspect.signature(method).parameters)
    assert found == PARAMETERS[name], f"trl.GRPOTrainer.{name} takes {found} now; adapt OGERTrainer"


def test_a_turn_after_tools_reaches_trls_generation(tmp_path: Path) -> None:
    trainer: Any = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=OGERConfig(**quiet_options(tmp_path)),
        train_dataset=toy_dataset(),
        processing_class=tiny_tokenizer(),
    )
    ids = tiny_tokenizer()(["1+1=?"])["input_ids"]
    completion_ids, _ = trainer._generate_single_turn(ids, None, {}, num_generations=1, has_tool_images=False)
    assert len(completion_ids) == 1


def test_log_prob_helper_keeps_what_is_passed_to_it() -> None:
    found = list(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)
    assert found[:5] == ["self", "model", "input_ids", "attention_mask", "logits_to_keep"]
    assert {"batch_size", "compute_entropy", "compute_aux_loss"} <= set(found)


@pytest.mark.parametrize("name", ["pad", "nanstd", "use_adapter", "is_async_callable", "RepeatSampler"])
def test_helper_is_there(name: str) -> None:
    assert hasattr(utils, name), f"trl.trainer.utils.{name} is gone"


def test_trainer_keeps_its_state_under_the_names_that_are_read(tmp_path: Path) -> None:
    trainer: Any = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=OGERConfig(**quiet_options(tmp_path)),
        train_dataset=toy_dataset(),
        processing_class=tiny_tokenizer(),
    )
    names = [
        "_step", "_buffered_inputs", "_metrics", "_logs", "_pending_extra_logs", "_pending_metrics", "_tokenizer",
        "_is_vlm", "eos_token_ids", "reward_weights", "reward_func_names", "reward_funcs", "ref_model", "beta",
        "epsilon_low", "epsilon_high", "num_generations", "num_iterations", "max_completion_length",
        "mask_truncated_completions", "pad_to_multiple_of", "top_entropy_quantile", "off_policy_mask_threshold",
        "use_vllm", "vllm_importance_sampling_correction", "vllm_importance_sampling_mode", "aux_loss_enabled",
        "router_aux_loss_coef", "environment_factories", "tools", "log_completions",
    ]  # fmt: skip
    gone = [name for name in names if not hasattr(trainer, name)]
    assert not gone, f"trl.GRPOTrainer no longer has {gone}"
    assert len(trainer._generate(["1+1=?"] * 4)) == 8, "trl.GRPOTrainer._generate returns another tuple now"
    sampler = trainer._get_train_sampler()
    assert isinstance(sampler, RepeatSampler)
    assert hasattr(sampler, "generator"), "RepeatSampler draws its permutations from another generator now"
    assert sampler.num_samples == 8


def test_trainer_state_is_written_last_into_a_checkpoint() -> None:
    source = inspect.getsource(Trainer._save_checkpoint)
    order = [source.index(part) for part in ("save_model(", "_save_rng_state(", "TRAINER_STATE_NAME")]
    assert order == sorted(order), "transformers writes trainer_state.json earlier now: it no longer marks a whole one"
    assert TRAINER_STATE_NAME == "trainer_state.json"
