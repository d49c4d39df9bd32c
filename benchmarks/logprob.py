"""What do log-probabilities and entropies cost: all logits at once, TRL's fused head, and OGER's?

    nice -n 3 python -m benchmarks.logprob             # about 15 minutes of one core, up to 8 GB
    python -m benchmarks.logprob --quick               # under a minute
    python -m benchmarks.logprob --policy              # the embedded policy as a whole, instead; half a minute

From hidden states (length, hidden) and a head (vocabulary, hidden), float32, one thread, with and without gradient:

- all at once: logits, their log-softmax, gather and sum, as one would write it;
- TRL: the kernel of `add_fused_lm_head` as TRL calls it;
- OGER: `oger.method.chunked_head`, which takes its place on a CPU.

Memory: the most bytes that tensors hold at once during a pass, above what it was given, as torch's profiler counts
them; the head takes no gradient in that pass, so neither weights nor their gradients count. Where all at once would
take over 8 GB (or half of what is free), its bytes are computed, as the 4 arrays (length, vocabulary) that it holds
elsewhere, 5 with gradient, and marked *; nothing is timed then.
Time: processor seconds, the variants in turn (A B C C B A ...), all gradients included; medians of the ratios to all at
once. Prints each corner to stderr as it ends, a table and, last, one line of JSON.

`--policy`: forward, and forward and backward, of the arithmetic world's policy over 128 rows of 16 prompt and 64
completion tokens through `add_fused_lm_head`, with OGER's head by with TRL's; medians of the ratios of turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaForCausalLM
from trl.kernels import ChunkedLogProbFunction
from trl.trainer import utils
from trl.trainer.utils import add_fused_lm_head

from oger.method.chunked_head import chunked_log_probs
from oger.training.logprobs.fused_head import fused_head_for
from oger.worlds import load_world

VOCABULARIES, LENGTHS = (1_000, 8_000, 32_000, 152_000), (128, 512, 2_048, 8_192)
QUICK_VOCABULARIES, QUICK_LENGTHS = (1_000, 152_000), (128, 512)
TEMPERATURE = 0.9
# (length, vocabulary) arrays alive at once: logits, log-softmax, its exponential, their product; a gradient more.
NAIVE_ARRAYS = {False: 4, True: 5}
LARGEST_BYTES = 8e9
MIN_ROUNDS, MIN_SECONDS = 2, 0.5
NAIVE, TRL, OGER = "all at once", "TRL", "OGER"

Pass = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Corner:
    """One size of the problem."""

    vocabulary: int
    length: int
    gradient: bool
    hidden: int

    @property
    def naive_bytes(self) -> int:
        """What all at once takes, by arithmetic."""
        return NAIVE_ARRAYS[self.gradient] * 4 * self.length * self.vocabulary


def all_at_once(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies by way of all logits."""
    logits_NV = hidden_ND @ weight_VD.T / TEMPERATURE
    logps_NV = logits_NV.log_softmax(dim=-1)
    entropy_N = -(logps_NV.exp() * logps_NV).sum(dim=-1)
    return logps_NV.gather(1, targets_N[:, None]).squeeze(1), entropy_N


def trl_head(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """The kernel as TRL's fused head calls it."""
    found = ChunkedLogProbFunction.apply(
        hidden_ND, weight_VD, None, targets_N, TEMPERATURE, utils._CHUNKED_LOGPROB_CHUNK_SIZE, None, 1.0,
        ("log_probs", "entropy"),
    )  # fmt: skip
    return found[0], found[1]


def oger_head(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor | None]:
    """What OGER puts in its place."""
    return chunked_log_probs(hidden_ND, weight_VD, targets_N, temperature=TEMPERATURE)


VARIANTS: dict[str, Pass] = {NAIVE: all_at_once, TRL: trl_head, OGER: oger_head}


def main() -> None:
    """Measure every corner and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--hidden", type=int, default=128, help="width of the hidden states")
    parser.add_argument("--policy", action="store_true", help="the embedded policy as a whole")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.policy:
        print(json.dumps({"vocabulary": embedded_policy().config.vocab_size, "time_ratio": policy_ratios()}))
        return
    vocabularies, lengths = (QUICK_VOCABULARIES, QUICK_LENGTHS) if arguments.quick else (VOCABULARIES, LENGTHS)
    corners = [
        Corner(vocabulary, length, gradient, arguments.hidden)
        for gradient in (False, True)
        for vocabulary in vocabularies
        for length in lengths
    ]
    rows = []
    for corner in corners:
        rows.append(measured(corner))
        print(json.dumps(rows[-1]), file=sys.stderr)
    report(rows)


def measured(corner: Corner) -> dict[str, Any]:
    """Bytes and times of one corner; no times where all at once is computed only."""
    computed = corner.naive_bytes > min(LARGEST_BYTES, psutil.virtual_memory().available / 2)
    peaks = {name: peak_bytes(corner, name) for name in VARIANTS if not (computed and name == NAIVE)}
    peaks = {NAIVE: corner.naive_bytes} | peaks
    return {
        **asdict(corner),
        "naive_computed": computed,
        "peak_bytes": peaks,
        "memory_ratio": {name: round(peaks[NAIVE] / peaks[name], 1) for name in (TRL, OGER)},
        "time_ratio": {} if computed else time_ratios(corner),
    }


def peak_bytes(corner: Corner, variant: str) -> int:
    """The most bytes that tensors hold at once in one pass, without its inputs."""
    hidden_ND, weight_VD, targets_N = tensors(corner)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        one_pass(VARIANTS[variant], hidden_ND, weight_VD.requires_grad_(False), targets_N)
    assert seen.profiler is not None
    live = peak = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


def time_ratios(corner: Corner) -> dict[str, float]:
    """Median ratio of processor time to that of all at once, by variant; to be called when all have run once."""
    inputs = tensors(corner)
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    order = list(VARIANTS.items())
    while len(seconds[OGER]) < MIN_ROUNDS or sum(seconds[NAIVE]) < MIN_SECONDS:
        for name, variant in order:
            began = time.process_time()
            one_pass(variant, *inputs)
            seconds[name].append(time.process_time() - began)
        order.reverse()  # small passes find in the caches what the pass before left there
    return {
        name: round(statistics.median(a / b for a, b in zip(seconds[name], seconds[NAIVE], strict=True)), 2)
        for name in (TRL, OGER)
    }


def tensors(corner: Corner) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, head and targets of a corner."""
    torch.manual_seed(0)
    hidden_ND = torch.randn(corner.length, corner.hidden).requires_grad_(corner.gradient)
    weight_VD = torch.randn(corner.vocabulary, corner.hidden).mul_(corner.hidden**-0.5).requires_grad_(corner.gradient)
    return hidden_ND, weight_VD, torch.randint(corner.vocabulary, (corner.length,))


def one_pass(variant: Pass, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> None:
    """Forward and, where the hidden states want it, backward through log-probabilities and entropies."""
    logps_N, entropy_N = variant(hidden_ND, weight_VD, targets_N)
    assert entropy_N is not None
    if hidden_ND.requires_grad:
        (logps_N.sum() + 0.1 * entropy_N.sum()).backward()
        hidden_ND.grad = weight_VD.grad = None


def embedded_policy() -> Any:
    """The arithmetic world's policy with TRL's fused head."""
    policy = LlamaForCausalLM.from_pretrained(load_world("arithmetic").base_policy(), dtype=torch.float32)
    add_fused_lm_head(policy, temperature=TEMPERATURE, outputs=("log_probs", "entropy"))
    return policy


def policy_ratios(rounds: int = 15, num_rows: int = 128, prompt: int = 16, completion: int = 64) -> dict[str, float]:
    """Processor time of the whole policy with OGER's head by that with TRL's, without and with gradient."""
    policy = embedded_policy()
    torch.manual_seed(0)
    ids = torch.randint(policy.config.vocab_size, (num_rows, prompt + completion))
    labels = ids.clone()
    labels[:, :prompt] = -100

    def seconds(ours: bool, gradient: bool) -> float:
        began = time.process_time()
        with fused_head_for(ids.device) if ours else nullcontext(), torch.set_grad_enabled(gradient):
            found = policy(input_ids=ids, labels=labels, fused_lm_head=True)
        if gradient:
            found.log_probs.sum().backward()
        return time.process_time() - began

    ratios: dict[str, float] = {}
    for name, gradient in (("without_gradient", False), ("with_gradient", True)):
        turns = [seconds(True, gradient) / seconds(False, gradient) for _ in range(rounds + 1)]
        ratios[name] = round(statistics.median(turns[1:]), 3)
    return ratios


def report(rows: list[dict[str, Any]]) -> None:
    """A table of the corners and one line of JSON."""
    table = Table(
        "gradient", "vocabulary", "length", "all at once MB", "TRL MB", "OGER MB", "saved", "TRL time", "OGER time",
        title=f"Log-probabilities and entropies, hidden {rows[0]['hidden']}, float32 (* computed)",
    )  # fmt: skip
    for row in rows:
        megabytes = {name: f"{number / 1e6:,.1f}" for name, number in row["peak_bytes"].items()}
        times = [f"{row['time_ratio'][name]:.2f}x" if row["time_ratio"] else "" for name in (TRL, OGER)]
        table.add_row(
            "yes" if row["gradient"] else "no",
            f"{row['vocabulary']:,}",
            f"{row['length']:,}",
            megabytes[NAIVE] + "*" * row["naive_computed"],
            megabytes[TRL],
            megabytes[OGER],
            f"{row['memory_ratio'][OGER]:.1f}x",
            *times,
        )
    Console(width=120).print(table)
    largest = max(row["vocabulary"] for row in rows)
    line = {
        "hidden": rows[0]["hidden"],
        "largest_vocabulary": largest,
        "least_memory_ratio": _of_both(min, [row["memory_ratio"] for row in rows if row["vocabulary"] == largest]),
        "time_ratio_without_gradient": _of_both(max, [row["time_ratio"] for row in rows if not row["gradient"]]),
        "time_ratio_with_gradient": _of_both(max, [row["time_ratio"] for row in rows if row["gradient"]]),
        "corners": rows,
    }
    print(json.dumps(line))


def _of_both(choose: Callable[..., float], ratios: list[dict[str, float]]) -> dict[str, float]:
    """The smallest or largest ratio of TRL and of OGER, over the corners that have one."""
    return {name: choose(one[name] for one in ratios if one) for name in (TRL, OGER) if any(ratios)}


if __name__ == "__main__":
    main()
