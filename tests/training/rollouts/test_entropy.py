"""Entropies taken while sampling equal those of a forward over the finished rollouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from oger import OGERConfig, OGERTrainer
from oger.training.rollouts.entropy import EntropyRecorder
from oger.training.rollouts.shrinking_generation import shrinking_generation
from tests.support.sharp import ENDS, PADDED, generate, sharp_policy
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset


def _sample(policy: Any, recorder: EntropyRecorder, **options: Any) -> tuple[torch.Tensor, Any]:
    with shrinking_generation(policy, recorder):
        ids_NL = generate(policy, **options)
    return ids_NL, tiny_tokenizer()(PADDED, return_tensors="pt", padding=True)["attention_mask"]


def _by_a_forward(policy: Any, ids_NL: torch.Tensor, mask_NP: torch.Tensor, temperature: float) -> Any:
    """Entropies (N, T) of a second forward, and the mask of the response tokens."""
    width = mask_NP.shape[1]
    end_NT = torch.isin(ids_NL[:, width:], torch.tensor(ENDS)).int()
    ended_NT = end_NT.cumsum(1) - end_NT
    token_NT = (ended_NT == 0).long()
    mask_NL = torch.cat([mask_NP, token_NT], dim=1)
    positions = (mask_NL.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        logits = policy(input_ids=ids_NL, attention_mask=mask_NL, position_ids=positions).logits[:, width - 1 : -1]
    return torch.distributions.Categorical(logits=logits / temperature).entropy() * token_NT, token_NT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("penalty", [1.0, 1.3], ids=["rows leave", "loop of transformers"])
@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0.7}, {"temperature": 1.6, "top_k": 5}, {"top_p": 0.6, "min_new_tokens": 4}],
    ids=["plain", "cold", "hot and top-k", "top-p and a least length"],
)
def test_they_equal_a_second_forward(dtype: torch.dtype, penalty: float, options: dict[str, Any]) -> None:
    policy = sharp_policy(dtype)
    temperature = options.get("temperature", 1.0)
    recorder = EntropyRecorder(temperature)
    ids_NL, mask_NP = _sample(policy, recorder, repetition_penalty=penalty, **options)
    expected_NT, token_NT = _by_a_forward(policy, ids_NL, mask_NP, temperature)
    lengths_N = token_NT.sum(dim=1)
    assert lengths_N.unique().numel() > 3, "rows must finish at different steps"
    assert expected_NT[token_NT.bool()].std() > 0.1
    entropy_NT = recorder.entropy_NT(token_NT)
    precise = dtype == torch.float64 and penalty == 1.0  # the loop of transformers hands on float32
    torch.testing.assert_close(entropy_NT, expected_NT.to(entropy_NT.dtype), rtol=0, atol=1e-9 if precise else 1e-5)


@pytest.mark.parametrize("options", [{"cache_implementation": "static"}, {}])
def test_they_equal_a_second_forward_of_an_adapter(options: dict[str, Any]) -> None:
    lora = LoraConfig(r=4, init_lora_weights=False, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    policy = get_peft_model(sharp_policy(torch.float32), lora).eval()
    recorder = EntropyRecorder()
    ids_NL, mask_NP = _sample(policy, recorder, **options)
    expected_NT, token_NT = _by_a_forward(policy, ids_NL, mask_NP, 1.0)
    torch.testing.assert_close(recorder.entropy_NT(token_NT), expected_NT, rtol=0, atol=1e-5)


def test_they_equal_the_trainers_second_forward(tmp_path: Path) -> None:
    compared = []

    class Recording(OGERTrainer):
        def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
            self.recorder = EntropyRecorder(self.temperature)
            with shrinking_generation(self.accelerator.unwrap_model(self.model_wrapped), self.recorder):
                return super()._generate_single_turn(*args, **kwargs)

    trainer = Recording(
        model=sharp_policy(torch.float32),
        reward_funcs=contains_answer,
        args=OGERConfig(
            **quiet_options(tmp_path, temperature=0.8, steps_per_generation=2, max_steps=2, lean_generation=False)
        ),
        train_dataset=toy_dataset(),
        processing_class=tiny_tokenizer(),
    )

    def compare(step: int, batch: Any) -> None:
        online_NT = batch.tensors.completion_mask_NT * ~batch.tensors.offline_N[:, None]
        compared.append((trainer.recorder.entropy_NT(online_NT), batch.forward.entropy_NT * online_NT))

    trainer.batch_sinks.append(compare)
    trainer.train()
    assert len(compared) == 2
    for recorded_NT, forward_NT in compared:
        torch.testing.assert_close(recorded_NT, forward_NT, rtol=0, atol=1e-5)


@pytest.mark.parametrize("option", [{"min_p": 0.5}, {"typical_p": 0.2}, {"no_repeat_ngram_size": 1}], ids=str)
def test_a_policy_whose_own_configuration_reshapes_what_is_drawn_is_refused_by_name(
    tmp_path: Path, option: dict[str, Any]
) -> None:
    def build(**options: Any) -> OGERTrainer:
        policy = tiny_policy()
        policy.generation_config.update(top_k=1, top_p=0.1, **option)  # what the run itself sets is not asked
        return OGERTrainer(
            policy, contains_answer, OGERConfig(**quiet_options(tmp_path, **options)), toy_dataset(),
            processing_class=tiny_tokenizer(),
        )  # fmt: skip

    name = next(iter(option))
    with pytest.raises(ValueError, match=rf"{name}=.* of the policy's generation configuration cannot be combined"):
        build()
    build(entropy_reduction="none")
    build(exploration_weight=0)
    if name == "min_p":
        build(min_p=0.0)  # of the run, which wins


def test_a_token_that_was_not_sampled_is_refused() -> None:
    recorder = EntropyRecorder()
    recorder.record(torch.zeros(2, 3))
    recorder.record(torch.zeros(1, 3), torch.tensor([1]))
    mask_NT = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0]])
    torch.testing.assert_close(recorder.entropy_NT(mask_NT), mask_NT * torch.tensor(3.0).log())
    for row, step in ((0, 1), (1, 2)):
        wrong_NT = mask_NT.clone()
        wrong_NT[row, step] = 1
        with pytest.raises(ValueError, match="were not sampled"):
            recorder.entropy_NT(wrong_NT)


def test_logits_of_minus_infinity_have_an_entropy() -> None:
    recorder = EntropyRecorder()
    recorder.record(torch.tensor([[0.0, -torch.inf, 0.0]]))
    torch.testing.assert_close(recorder.entropy_NT(torch.ones(1, 1)), torch.tensor([[2.0]]).log())
