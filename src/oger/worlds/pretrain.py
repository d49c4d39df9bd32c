"""Rebuild the base policy of the arithmetic world: `python -m oger.worlds.pretrain --out DIR [--seed S]`.

Supervised learning on worked examples, stopped as soon as pass@1, measured on the validation problems, is where
reinforcement learning has something to amplify: some of every family is solved, most is not. Competence comes within
seconds and at another moment in every family, so the loop measures often and gives the families that lag behind more
examples. That makes measuring part of the loop, which is why this is thirty lines of plain PyTorch and not a
`transformers.Trainer` with callbacks that change its data.
"""

import argparse
import math
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from oger.terminal.bar import Bar, Bars
from oger.terminal.console import Terminal
from oger.worlds import load_world
from oger.worlds.arithmetic.policy_recipe import Corpus, Example, policy_config
from oger.worlds.arithmetic.tokenizer import build_tokenizer
from oger.worlds.measure import PassRates, measure_pass_rates

_BATCH = 32
_MATRIX_LEARNING_RATE = 0.01  # of Muon, which learned in fewer steps than AdamW here
_LEARNING_RATE = 2e-3  # of AdamW, for embeddings and norms
_WARMUP_STEPS = 50
_MAX_STEPS = 2500
_MEASURE_AT = (400, 700, *range(900, _MAX_STEPS + 1, 100))  # measuring costs as much as twenty steps
_BATCHES_SORTED_TOGETHER = 8  # batches of similar length waste little padding
_AVERAGING = 0.99  # decay of the weight average that is measured and kept: it stands in for a learning-rate decay
_TARGET = 0.25  # overall pass@1 to stop at: inside the bounds by more than the noise of the measurement
_FAMILY_TARGET = 0.30  # a family at this rate gets the least new examples
_FAMILY_FLOOR = 0.11  # well inside the lower bound, because the measurement is noisy
_LEAST_WEIGHT = 0.1


class NotReachedError(RuntimeError):
    """Pre-training ended without a policy inside the bounds."""


def pretrain(seed: int, bar: Bar) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, PassRates]:
    """A policy whose pass@1 lies inside the bounds, its tokenizer, and the measurement that stopped the training."""
    world = load_world("arithmetic")
    rows = world.rows("validation")
    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(policy_config(tokenizer))
    corpus = Corpus(seed)
    batches = _batches(corpus, tokenizer)
    optimizers = _optimizers(model)
    warmups = [LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / _WARMUP_STEPS)) for optimizer in optimizers]
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGING))
    averaged_model = cast(PreTrainedModel, average.module)

    for step in range(1, _MAX_STEPS + 1):
        loss = model(**next(batches)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, warmup in zip(optimizers, warmups, strict=True):
            optimizer.step()
            warmup.step()
        model.zero_grad()
        average.update_parameters(model)
        bar.update(description=f"pre-training step {step}")
        if step not in _MEASURE_AT:
            continue
        rates = measure_pass_rates(
            averaged_model, tokenizer, rows, num_samples=2, max_new_tokens=world.max_completion_length, seed=seed
        )
        families = {name: rate for name, rate in rates.pass_at_1.items() if name != "all"}
        written = " ".join(f"{name} {rate:.2f}" for name, rate in rates.pass_at_1.items())
        bar.update(completed=min(rates.pass_at_1["all"], _TARGET), note=written)
        if rates.pass_at_1["all"] >= _TARGET and min(families.values()) >= _FAMILY_FLOOR:
            return averaged_model, tokenizer, rates
        corpus.set_weights(_weights(families))
    raise NotReachedError(f"no policy inside the bounds after {_MAX_STEPS} steps (last pass@1: {written})")


def _optimizers(model: PreTrainedModel) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices between layers, AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return (
        torch.optim.Muon(matrices, lr=_MATRIX_LEARNING_RATE, weight_decay=0.0, ns_steps=3),
        torch.optim.AdamW(others, lr=_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    )


def _weights(pass_at_1: Mapping[str, float]) -> dict[str, float]:
    """The further a family is below its target, the more examples it gets."""
    return {name: max(_LEAST_WEIGHT, 1 - rate / _FAMILY_TARGET) for name, rate in pass_at_1.items()}


def _batches(corpus: Corpus, tokenizer: PreTrainedTokenizerBase) -> Iterator[dict[str, torch.Tensor]]:
    """Padded batches; only response tokens and EOS are learned."""
    examples = iter(corpus)
    while True:
        drawn = list(islice(examples, _BATCH * _BATCHES_SORTED_TOGETHER))
        bare = [e for e in drawn if e.is_bare]
        worked = sorted(
            (example for example in drawn if not example.is_bare), key=lambda example: len(example.response)
        )
        size = math.ceil(len(worked) / _BATCHES_SORTED_TOGETHER)
        # Every batch gets its share of the short bare answers: sorted among the rest, they would fill whole batches.
        batches = [
            worked[index * size : (index + 1) * size] + bare[index::_BATCHES_SORTED_TOGETHER]
            for index in torch.randperm(_BATCHES_SORTED_TOGETHER).tolist()
        ]
        for batch in batches:
            yield _collate(batch, tokenizer)


def _collate(batch: list[Example], tokenizer: PreTrainedTokenizerBase) -> dict[str, torch.Tensor]:
    prompts = tokenizer([example.prompt for example in batch])["input_ids"]
    responses = [[*ids, tokenizer.eos_token_id] for ids in tokenizer([e.response for e in batch])["input_ids"]]
    pairs = list(zip(prompts, responses, strict=True))
    return {
        "input_ids": _padded([prompt + response for prompt, response in pairs], tokenizer.pad_token_id),
        "attention_mask": _padded([[1] * len(prompt + response) for prompt, response in pairs], 0),
        "labels": _padded([[-100] * len(prompt) + response for prompt, response in pairs], -100),
    }


def _padded(rows: list[list[int]], value: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the policy in transformers format, with generation settings that sample as training does."""
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=1.0, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes files that only their owner can read


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m oger.worlds.pretrain", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    console = Terminal()
    with Bars("title", "bar", "elapsed", "note", console=console) as bars:
        model, tokenizer, rates = pretrain(options.seed, bars.add("pre-training", _TARGET, "not measured yet"))
    save(model, tokenizer, options.out)
    console.print(
        f"wrote {options.out}: pass@1 {rates.pass_at_1['all']:.3f}, entropy {rates.mean_entropy:.3f} nats/token"
    )


if __name__ == "__main__":
    main()
