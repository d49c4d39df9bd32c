"""How long does generation take, as a ratio to stock `generate`, and what do the entropies add?

    python -m benchmarks.generation [--rounds 5] [--only embedded-long-tailed]

The same rollouts (same prompts, same lengths) by stock `generate` of transformers, by OGER's shrinking batches with
entropies recorded, and by these with stock's random numbers, in turn (A B C A B C ...) on one thread. Lengths are
planned: log-normal with the longest more than 8 times the median, or all equal; `as it is` is the embedded policy that
ends its responses itself. Prints a table and, last, one line of JSON per workload: medians over rounds of the ratios of
processor time within a round, and the share of generation that recording entropies takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

from benchmarks.step_time_workloads import GROUP, WORKLOADS, LengthPlan, Lengths
from oger.training.rollouts.entropy import EntropyRecorder
from oger.training.rollouts.shrinking_generation import shrinking_generation
from oger.worlds import load_world


class TimedRecorder(EntropyRecorder):
    """An entropy recorder with a stopwatch."""

    seconds = 0.0

    def record(self, logits_RV: torch.Tensor, rows_R: torch.Tensor | None = None) -> None:
        """Records and adds up the time."""
        began = time.process_time()
        super().record(logits_RV, rows_R)
        self.seconds += time.process_time() - began


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One workload of generation."""

    rollouts: int
    lengths: Lengths | None
    shape: dict[str, Any] | None = None


_30M = WORKLOADS["llama-30m"].shape
CELLS = {
    "embedded-as-it-is": Cell(rollouts=128, lengths=None),
    "embedded-long-tailed": Cell(rollouts=128, lengths=Lengths(median=32, sigma=0.9)),
    "embedded-even": Cell(rollouts=128, lengths=Lengths(median=64, sigma=0)),
    "llama-30m-long-tailed": Cell(rollouts=32, lengths=Lengths(median=32, sigma=1.0), shape=_30M),
    "llama-30m-even": Cell(rollouts=32, lengths=Lengths(median=64, sigma=0), shape=_30M),
}


def main() -> None:
    """Run the cells and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=CELLS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {name: measure(cell, arguments.rounds) for name, cell in CELLS.items() if arguments.only in (None, name)}
    table = Table("workload", "longest / median", "stock s", "ratio", "ratio, stock's draws", "entropies' share")
    for name, result in results.items():
        table.add_row(
            name,
            f"{result['longest']} / {result['median']:g}",
            f"{result['stock_s']:.3f}",
            f"{result['ratio']:.2f}",
            f"{result['ratio_stock_draws']:.2f}",
            f"{result['entropies_share']:.1%}",
        )
    Console(width=120).print(table)
    for name, result in results.items():
        print(json.dumps({"workload": name, **result}))


def measure(cell: Cell, rounds: int) -> dict[str, float]:
    """Ratios of one cell; one round warms up."""
    generate = generator(cell)
    seconds: dict[str, list[float]] = {}
    shares: list[float] = []
    lengths: list[int] = []
    for seed in range(rounds + 1):
        recorder = TimedRecorder(1.0)
        for name, shrinking in {
            "stock": None,
            "shrinking": {"recorder": recorder},
            "stock draws": {"stock_draws": True},
        }.items():
            torch.manual_seed(seed)
            began = time.process_time()
            token_NT = generate(shrinking)
            seconds.setdefault(name, []).append(time.process_time() - began)
            if name == "stock":
                lengths += token_NT.sum(dim=1).tolist()
        shares.append(recorder.seconds / seconds["shrinking"][-1])
    stock, own, draws = (values[1:] for values in seconds.values())
    return {
        "longest": max(lengths),
        "median": statistics.median(lengths),
        "stock_s": round(statistics.median(stock), 4),
        "ratio": _ratio(own, stock),
        "ratio_stock_draws": _ratio(draws, stock),
        "entropies_share": round(statistics.median(shares[1:]), 4),
    }


def _ratio(of: list[float], to: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(of, to, strict=True)), 3)


Generate = Callable[[dict[str, Any] | None], torch.Tensor]
"""True on the tokens of the responses (N, T); gets the arguments of `shrinking_generation`, or None for stock."""


def generator(cell: Cell) -> Generate:
    """Generates the cell's rollouts, one call at a time."""
    world = load_world("arithmetic")
    source = world.base_policy()
    tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
    torch.manual_seed(0)
    if cell.shape is None:
        config = LlamaConfig.from_pretrained(source, max_position_embeddings=1024)
        model: Any = LlamaForCausalLM.from_pretrained(source, config=config, dtype=torch.float32)
    else:
        model = LlamaForCausalLM(LlamaConfig(**cell.shape, bos_token_id=None, tie_word_embeddings=True)).eval()
    prompts = [row["prompt"] for row in world.rows("train", limit=cell.rollouts // GROUP) for _ in range(GROUP)]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    planned = None if cell.lengths is None else torch.tensor(cell.lengths.of(cell.rollouts))
    width = inputs["input_ids"].shape[1]
    options = GenerationConfig(
        max_new_tokens=64 if planned is None else int(planned.max()),
        do_sample=True,
        top_k=0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        disable_compile=True,
    )

    def generate(shrinking: dict[str, Any] | None) -> torch.Tensor:
        processors: list[Any] = []
        if planned is not None:
            order = planned[torch.randperm(len(planned))]
            processors = [LengthPlan(order, width, tokenizer.get_vocab()["0"], tokenizer.eos_token_id)]
        arguments = {
            "input_ids": inputs["input_ids"],
            "attention_mask": inputs["attention_mask"],
            "generation_config": options,
            "logits_processor": processors,
        }
        with nullcontext() if shrinking is None else shrinking_generation(model, **shrinking):
            return model.generate(**arguments)[:, width:] != tokenizer.pad_token_id

    return generate


if __name__ == "__main__":
    main()
