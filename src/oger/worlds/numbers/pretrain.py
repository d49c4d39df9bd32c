"""Rebuild the base policy of the numbers world: `python -m oger.worlds.numbers.pretrain --out DIR [--seed S]`.

Supervised learning on the corpus for a fixed number of steps. The state is written beside the policy every few steps,
and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from oger.terminal.plain import say
from oger.worlds.arithmetic.tokenizer import build_tokenizer
from oger.worlds.numbers.policy_recipe import Corpus, policy_config
from oger.worlds.pretrain import save

_STEPS = 4200
_BATCH = 64
_MATRIX_LEARNING_RATE = 0.01  # of Muon
_LEARNING_RATE = 2e-3  # of AdamW, for embeddings and norms
_WARMUP_STEPS = 50
_AVERAGING = 0.995  # decay of the weight average that is kept: it stands in for a learning-rate decay
_BATCHES_SORTED_TOGETHER = 16  # batches of similar length waste little padding
_SAVE_EVERY = 200


class Muon(torch.optim.Optimizer):
    """Steps of orthogonalised momentum, as torch.optim.Muon's, but in float32: bfloat16 is slow on most CPUs."""

    def __init__(self, params: Iterable[torch.nn.Parameter], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step; a closure is not called."""
        for group in self.param_groups:
            for param in group["params"]:
                momentum = self.state[param].setdefault("momentum", torch.zeros_like(param)).lerp_(param.grad, 0.05)
                update = _orthogonalised(param.grad.lerp(momentum, 0.95))
                param.add_(update, alpha=-group["lr"] * math.sqrt(max(1.0, param.shape[0] / param.shape[1])))


def _orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """About U V^T of the matrix U S V^T, by three Newton-Schulz iterations with Muon's coefficients."""
    x = matrix / matrix.norm().clamp(min=1e-7)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(3):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


class Pretraining:
    """The run so far: model, optimisers and weight average; everything else follows from the seed and the step."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed, self.step = seed, 0
        self.tokenizer = build_tokenizer()
        self.model = LlamaForCausalLM(policy_config(self.tokenizer))
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGING))
        matrices = [p for name, p in self.model.named_parameters() if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in self.model.named_parameters() if p.ndim != 2 or "embed" in name]
        self.optimizers = (
            Muon(matrices, lr=_MATRIX_LEARNING_RATE),
            torch.optim.AdamW(others, lr=_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0),
        )
        self.warmups = [LambdaLR(o, lambda step: min(1.0, (step + 1) / _WARMUP_STEPS)) for o in self.optimizers]

    @property
    def _parts(self) -> list[Any]:
        return [self.model, self.average, *self.optimizers, *self.warmups]

    @property
    def policy(self) -> PreTrainedModel:
        """The averaged model."""
        return cast(PreTrainedModel, self.average.module)

    def write(self, path: Path) -> None:
        """Keep the state, whole or not at all."""
        torch.save((self.seed, self.step, [part.state_dict() for part in self._parts]), path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def read(self, path: Path) -> None:
        """Go on from a kept state.

        Raises:
            ValueError: it belongs to another seed.
        """
        seed, self.step, states = torch.load(path, weights_only=True)
        if seed != self.seed:
            raise ValueError(f"{path} belongs to seed {seed}, not {self.seed}")
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)

    def train(self, steps: int) -> Iterator[float]:
        """Losses of the steps that are left, in nats per token."""
        batches = _batches(self.seed, self.step, self.tokenizer)
        while self.step < steps:
            loss = self.model(**next(batches)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for optimizer, warmup in zip(self.optimizers, self.warmups, strict=True):
                optimizer.step()
                warmup.step()
            self.model.zero_grad()
            self.average.update_parameters(self.model)
            self.step += 1
            yield float(loss.detach())


def _batches(seed: int, step: int, tokenizer: PreTrainedTokenizerBase) -> Iterator[dict[str, torch.Tensor]]:
    """Padded batches from `step` on; only response tokens and EOS are learned."""
    while True:
        block, done = divmod(step, _BATCHES_SORTED_TOGETHER)
        drawn = list(islice(Corpus(f"{seed}|{block}"), _BATCH * _BATCHES_SORTED_TOGETHER))
        drawn.sort(key=lambda example: len(example.response))
        order = torch.randperm(_BATCHES_SORTED_TOGETHER, generator=torch.Generator().manual_seed(block)).tolist()
        for index in order[done:]:
            batch = drawn[index * _BATCH : (index + 1) * _BATCH]
            prompts = tokenizer([example.prompt for example in batch])["input_ids"]
            responses = tokenizer([example.response for example in batch])["input_ids"]
            pairs = [(p, [*r, tokenizer.eos_token_id]) for p, r in zip(prompts, responses, strict=True)]
            yield {
                "input_ids": _padded([prompt + response for prompt, response in pairs], tokenizer.pad_token_id),
                "labels": _padded([[-100] * len(prompt) + response for prompt, response in pairs], -100),
            }
            step += 1


def _padded(rows: list[list[int]], value: int) -> torch.Tensor:
    """Padded on the right, so that a causal model needs no mask."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m oger.worlds.numbers.pretrain", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write; a run that stopped goes on there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=_STEPS)
    options = parser.parse_args(arguments)
    run, kept = Pretraining(options.seed), options.out / "training.pt"
    options.out.mkdir(parents=True, exist_ok=True)
    if kept.exists():
        run.read(kept)
    losses: list[float] = []
    for loss in run.train(options.steps):
        losses.append(loss)
        if run.step % _SAVE_EVERY == 0 or run.step == options.steps:
            run.write(kept)
            save(run.policy, run.tokenizer, options.out)
            say(f"step {run.step}: {sum(losses) / len(losses):.3f} nats/token")
            losses.clear()


if __name__ == "__main__":
    main()
