"""The workloads of `benchmarks.step_time`, and the three trainers that do each of them.

Everything comes from the arithmetic world: prompts, three teachers, verifier, base policy. A trainer of each variant is
built from the same options; only what names OGER differs.
"""

from __future__ import annotations

import functools
import json
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import norm
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LogitsProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from benchmarks.step_time_laps import IDLE_IN, IDLE_OUT, OGER, PLAIN, STOCK
from oger.verification import VerifierPool
from oger.worlds import load_world

GROUP = 8
NUM_PROMPTS = 128
SHARE_CORRECT = 0.3  # what the base policy reaches on its own, about
_HEADER = 4  # digits at the start of a response of planned length


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Response lengths in tokens, EOS included: the quantiles of a log-normal distribution, the same in every step."""

    median: int
    sigma: float
    """Of log length; 0 makes all responses equally long."""

    def of(self, num_rows: int) -> list[int]:
        """Ascending lengths of a step's rollouts; each holds the header and an EOS.

        >>> Lengths(median=32, sigma=0.9).of(5)
        [10, 20, 32, 51, 101]
        """
        places = [(row + 0.5) / num_rows for row in range(num_rows)]
        return [max(round(self.median * math.exp(self.sigma * z)), _HEADER + 1) for z in norm.ppf(places)]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What both trainers do in one rollout step. Without `lengths` the policy ends its responses itself."""

    rollouts: int
    micro_batch: int
    rounds: int
    """Rollout steps that are measured, unless the command line says otherwise."""
    optimiser_steps: int = 1
    lengths: Lengths | None = None
    shape: dict[str, Any] | None = None
    """A policy with random weights of this shape; None is the world's base policy."""
    family: str = "llama"
    """Of the random weights: llama or qwen2."""
    prompt_tokens: int = 0
    """Prompts are filled up to so many."""
    teachers: int | None = None
    """Of every prompt, each with texts of its own; None = the world's three."""
    lora: bool = False
    """Train an adapter of rank 16 on all linear layers."""

    @property
    def max_length(self) -> int:
        """Limit of a response in tokens."""
        return 64 if self.lengths is None else self.lengths.of(self.rollouts)[-1]


_30M: dict[str, Any] = {
    "vocab_size": 32_768, "hidden_size": 384, "intermediate_size": 1_024, "num_hidden_layers": 11,
    "num_attention_heads": 6, "num_key_value_heads": 2,
}  # fmt: skip
_135M: dict[str, Any] = {  # SmolLM2-135M's
    "vocab_size": 49_152, "hidden_size": 576, "intermediate_size": 1_536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3,
}  # fmt: skip

_QWEN_05B: dict[str, Any] = {  # Qwen2.5-0.5B's
    "vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4_864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 4_096,
}  # fmt: skip
_QWEN_15B: dict[str, Any] = {  # Qwen2.5-1.5B's
    "vocab_size": 151_936, "hidden_size": 1_536, "intermediate_size": 8_960, "num_hidden_layers": 28,
    "num_attention_heads": 12, "num_key_value_heads": 2, "max_position_embeddings": 4_096,
}  # fmt: skip
_QWEN_TINY = {**_30M, "num_hidden_layers": 2, "hidden_size": 96, "intermediate_size": 128}


def _qwen(shape: dict[str, Any], *, lora: bool = False) -> Workload:
    """16 rollouts of 1,024 prompt and 2,048 response tokens."""
    return Workload(
        rollouts=16, micro_batch=4, rounds=1, lengths=Lengths(median=2_048, sigma=0), shape=shape, family="qwen2",
        prompt_tokens=1_024, lora=lora,
    )  # fmt: skip


def _qwen_tiny(*, lora: bool = False) -> Workload:
    return Workload(
        rollouts=16, micro_batch=8, rounds=1, lengths=Lengths(median=16, sigma=0), shape=_QWEN_TINY, family="qwen2",
        prompt_tokens=48, lora=lora,
    )  # fmt: skip


_EVEN = Lengths(median=64, sigma=0)
WORKLOADS = {
    "embedded-128": Workload(rollouts=128, micro_batch=128, rounds=20),
    "embedded-512": Workload(rollouts=512, micro_batch=128, rounds=8),
    "long-tailed": Workload(rollouts=128, micro_batch=32, rounds=8, lengths=Lengths(median=32, sigma=0.9)),
    "several-steps": Workload(rollouts=128, micro_batch=32, rounds=20, optimiser_steps=4),
    "llama-30m": Workload(rollouts=16, micro_batch=8, rounds=4, lengths=_EVEN, shape=_30M),
    "llama-30m-long-tailed": Workload(
        rollouts=16, micro_batch=8, rounds=4, lengths=Lengths(median=24, sigma=1.2), shape=_30M
    ),
    "llama-135m": Workload(rollouts=16, micro_batch=8, rounds=3, lengths=_EVEN, shape=_135M),
}
GPU_WORKLOADS = {  # of benchmarks.gpu, the tiny ones to try it on a CPU
    "qwen-0.5b": _qwen(_QWEN_05B),
    "qwen-1.5b": _qwen(_QWEN_15B),
    "qwen-1.5b-lora": _qwen(_QWEN_15B, lora=True),
    "qwen-tiny": _qwen_tiny(),
    "qwen-tiny-lora": _qwen_tiny(lora=True),
}


class LengthPlan(LogitsProcessor):
    """Ends every response at its planned length, whatever the policy says and whoever generates.

    A response opens with its own length, four digits, and EOS falls where those say. So the length travels with the
    row: generation that drops finished rows or reorders the others ends each response at the same token as stock
    generation does. What stands between is sampled from the policy.

    Args:
        length_N: planned lengths of the rows of this call of `generate`.
        prompt_width: columns before the first response token.
        zero: token id of "0"; the digits follow one another.
        eos: token id that ends a response.
    """

    row_by_row = True

    def __init__(self, length_N: Tensor, prompt_width: int, zero: int, eos: int) -> None:
        self._length_N = length_N
        self._prompt_width = prompt_width
        self._zero = zero
        self._eos = eos

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        position = input_ids.shape[1] - self._prompt_width
        scores[:, self._eos] = -torch.inf
        if position < _HEADER:  # nothing has ended yet, so the rows are those of the call
            digit_N = self._length_N // 10 ** (_HEADER - 1 - position) % 10
            forced_N = self._zero + digit_N
            return torch.full_like(scores, -torch.inf).scatter_(1, forced_N[:, None], 0.0)
        digit_RH = input_ids[:, self._prompt_width : self._prompt_width + _HEADER] - self._zero
        tens_H = 10 ** torch.arange(_HEADER - 1, -1, -1, device=input_ids.device)
        last_R = (digit_RH * tens_H).sum(dim=1) == position + 1
        scores[last_R] = -torch.inf
        scores[last_R, self._eos] = 0.0
        return scores


def plan_lengths(model: Any, lengths: Sequence[int], tokenizer: Any) -> None:
    """Makes `model.generate` give these lengths, in an order drawn anew at each call from torch's generator."""
    generate = model.generate
    digits = tokenizer.convert_tokens_to_ids(list("0123456789"))
    assert digits == list(range(digits[0], digits[0] + 10))

    def planned(*args: Any, logits_processor: Sequence[Any] | None = None, **kwargs: Any) -> Any:
        prompts = kwargs["input_ids"]
        order = torch.tensor(lengths)[torch.randperm(len(lengths))].to(prompts.device)
        plan = LengthPlan(order, prompts.shape[1], digits[0], tokenizer.eos_token_id)
        return generate(*args, logits_processor=[*(logits_processor or []), plan], **kwargs)

    model.generate = planned


def accuracy_by(pool: VerifierPool) -> Callable[..., list[float | None]]:
    """The world's verifier as a reward function."""

    def accuracy(
        completions: list[str], answer: list[str], kind: list[str], metadata: list[Any], **_: Any
    ) -> list[float | None]:
        verdicts = pool.verify_many(answer, completions, kind=kind, metadata=metadata)
        return [verdict.outcome for verdict in verdicts]

    return accuracy


def outcome(completions: list[str], **_: Any) -> list[float]:
    """A coin thrown by the text: responses of planned length hold no answers, and groups need right and wrong ones."""
    return [float(zlib.crc32(text.encode()) % 1000 < 1000 * SHARE_CORRECT) for text in completions]


def build(workload: Workload, variant: str, steps: int, folder: str, *, device: str, pool: VerifierPool) -> Any:
    """The trainer of `variant`, with `steps` rollout steps to go.

    Args:
        workload: what it does in a step.
        variant: one of VARIANTS, IDLE_IN, IDLE_OUT of `benchmarks.step_time_laps`.
        steps: rollout steps.
        folder: for what a trainer writes, which is nothing.
        device: "cpu" or "cuda".
        pool: grades the responses; without a memory, so that no variant profits of what another one asked.
    """
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PrinterCallback

    world = load_world("arithmetic")
    tokenizer = AutoTokenizer.from_pretrained(world.base_policy())
    model: Any
    if workload.shape is None:
        config = LlamaConfig.from_pretrained(world.base_policy(), max_position_embeddings=1024)
        model = LlamaForCausalLM.from_pretrained(world.base_policy(), config=config, dtype=torch.float32)
    else:
        model, tokenizer = random_policy(workload)
    rewards: list[Any] = [accuracy_by(pool)]
    if workload.lengths is not None:
        plan_lengths(model, workload.lengths.of(workload.rollouts), tokenizer)
        rewards = [outcome, *rewards]  # verified all the same, for the time that takes
    trainer_class, config_class, own = _variant(variant)
    args = config_class(
        output_dir=folder, seed=0, max_steps=steps * workload.optimiser_steps,
        num_generations=GROUP, per_device_train_batch_size=workload.micro_batch,
        gradient_accumulation_steps=workload.rollouts // workload.micro_batch // workload.optimiser_steps,
        steps_per_generation=workload.rollouts // workload.micro_batch,
        max_completion_length=workload.max_length, reward_weights=[1.0, 0.0][: len(rewards)],
        learning_rate=1e-9,  # the work of a step, but the same policy, and so the same lengths, throughout
        lr_scheduler_type="constant", gradient_checkpointing=False, use_cpu=device == "cpu",
        bf16=device != "cpu" and workload.shape is not None, dataloader_pin_memory=device != "cpu",
        logging_steps=1, report_to="none", save_strategy="no", disable_tqdm=True, **own,
    )  # fmt: skip
    dataset = Dataset.from_list(
        _rows(workload.prompt_tokens, workload.teachers, max(NUM_PROMPTS, workload.rollouts // GROUP))
    )
    if variant == STOCK:
        dataset = dataset.remove_columns("teachers")
    trainer = trainer_class(
        model=model, reward_funcs=rewards, args=args, train_dataset=dataset, processing_class=tokenizer,
        peft_config=LoraConfig(r=16, target_modules="all-linear") if workload.lora else None,
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def random_policy(workload: Workload) -> tuple[Any, Any]:
    """Model and tokenizer of a workload with a shape."""
    assert workload.shape is not None
    world_tokenizer = AutoTokenizer.from_pretrained(load_world("arithmetic").base_policy())
    tokenizer = _wider(world_tokenizer, workload.shape["vocab_size"])
    torch.manual_seed(0)
    special = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    families: dict[str, tuple[Any, Any]] = {
        "llama": (LlamaForCausalLM, LlamaConfig),
        "qwen2": (Qwen2ForCausalLM, Qwen2Config),
    }
    make, configure = families[workload.family]
    return make(configure(**workload.shape, **special, tie_word_embeddings=True)), tokenizer


@functools.cache
def _rows(prompt_tokens: int, teachers: int | None, num_prompts: int) -> list[dict[str, Any]]:
    rows = load_world("arithmetic").rows("train", limit=num_prompts)
    # characters are tokens
    rows = [row | {"prompt": row["prompt"].rjust(prompt_tokens, "1")} for row in rows]
    if teachers is None:
        return rows
    return [row | {"teachers": [_teacher(row["teachers"], number) for number in range(teachers)]} for row in rows]


def _teacher(known: Sequence[dict[str, Any]], number: int) -> dict[str, Any]:
    """The first, second ... of these again and again, with another beginning, so that no vector is that of another."""
    copied = known[number % len(known)]
    return {**copied, "teacher": f"t{number}", "text": f"{number}; {copied['text']}"}


def _variant(variant: str) -> tuple[Any, Any, dict[str, Any]]:
    if variant == STOCK:  # without the rest of OGER in its process, whose memory is measured
        from trl import GRPOConfig, GRPOTrainer

        return GRPOTrainer, GRPOConfig, {}
    from oger import OGERConfig, OGERTrainer

    plain = {"teacher_rows": 0, "exploration_weight": 0.0}
    options: dict[str, dict[str, Any]] = {
        OGER: {},
        PLAIN: plain,
        IDLE_IN: {**plain, "entropy_coef": 0.0, "skip_idle_rows": False},
        IDLE_OUT: {**plain, "entropy_coef": 0.0},
    }
    return OGERTrainer, OGERConfig, options[variant]


def _wider(tokenizer: Any, size: int) -> PreTrainedTokenizerFast:
    """The world's tokenizer with words for the ids that it lacks: it reads as before, and every id has a text."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary |= {f" w{index}": index for index in range(len(vocabulary), size)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)),
        pad_token=tokenizer.pad_token,
        eos_token=tokenizer.eos_token,
        unk_token=tokenizer.unk_token,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
