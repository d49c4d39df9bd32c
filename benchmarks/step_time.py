r"""How long is OGER's training step beside stock GRPO's, on the same work in the same run?

    python -m benchmarks.step_time                          # every workload
    python -m benchmarks.step_time --quick                  # embedded-128, few rounds: under a minute on two cores
    python -m benchmarks.step_time --workload long-tailed   # may be given several times
    python -m benchmarks.step_time --limit                  # stock and OGER by their matrix products, no more
    python -m benchmarks.step_time --scaling                # cost of a rollout from 64 to 1,024 per step
    python -m benchmarks.step_time --idle-rows              # plain GRPO by OGER's trainer, idle rows in and out
    python -m benchmarks.step_time --figure FILE.svg        # and the shares of the stages as a figure

Three trainers take their rollout steps in turn (A B C A B C ...) in one process, after a warm-up: `trl.GRPOTrainer`,
`OGERTrainer` as it comes (method oger: lambda 1, three teachers), and `OGERTrainer` with teacher rows and exploration
reward off. Same model, prompts, rollouts, limits, optimiser and random seeds; step k of each draws from the same seed.
The learning rate is so small that no policy changes. Medians over the rounds.

Workloads, all on the arithmetic world, eight rollouts per prompt:

- embedded-128, embedded-512: the embedded policy, which ends its responses itself, and the real verifier's outcomes;
- long-tailed: the embedded policy with log-normal lengths, the longest about 11x the median, in four micro-batches;
- several-steps: 128 rollouts of the embedded policy for four optimiser steps, hence with old log-probs;
- llama-30m, llama-135m: random weights in the Llama architecture, equal lengths; llama-30m-long-tailed.

Planned lengths are the same quantiles in every step, in random order over the rows: see `LengthPlan`. Where lengths
are planned, outcomes are a coin thrown by the text (the responses hold no answers), and the verifier runs for its time.
Peak memory is that of a process of its own for each variant: resident memory, or what torch took on a GPU. Everything
runs on the CPU, on one thread unless --threads says otherwise, and again on a GPU where there is one.

`--clock cpu` counts this process's seconds on the CPU, which a busy machine disturbs less; the verifier's workers are
processes of their own and left out then.

On a CPU the matrix products of OGER's and stock's warm-up step are recorded and done again beside every other step,
with nothing between them: what generation and update take above OGER's is what could at most be saved.

Prints tables and, last, one line of JSON per workload.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.step_time_laps import IDLE_IN, IDLE_OUT, OGER, STOCK, VARIANTS, Lap

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

if TYPE_CHECKING:
    from benchmarks.step_time_workloads import Workload

# This module, which every process imports, stays light: what a process loads is part of its peak memory. What this
# process itself holds does not count, as long as it is less than what each of its children takes.
WARM_UP = 1  # what happens once, optimiser states and verifier workers, happens in the first step
CLOCKS = ("wall", "cpu")
QUICK_ROUNDS = 6
MEMORY_STEPS = 2
SCALES = (64, 128, 256, 512, 1024)
NAMES = (
    "embedded-128", "embedded-512", "long-tailed", "several-steps", "llama-30m", "llama-30m-long-tailed", "llama-135m",
)  # fmt: skip
Result = TypeVar("Result")


@dataclass(frozen=True)
class Machine:
    """Where and by what clock the trainers run."""

    device: str
    threads: int
    clock: str

    def label(self, name: str) -> str:
        """The name, and the device where it is not the CPU."""
        return name if self.device == "cpu" else f"{name}/{self.device}"


def main() -> None:
    """Run the workloads and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, of embedded-128 unless --workload is given")
    parser.add_argument("--workload", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, help="rollout steps of each trainer after the warm-up")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads on a CPU")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for a machine that does other things too")
    parser.add_argument(
        "--idle-rows", action="store_true", help="what leaving out rows without advantage saves, instead"
    )
    parser.add_argument("--limit", action="store_true", help="stock and OGER beside their matrix products, no more")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the shares of the stages into this file")
    parser.add_argument("--scaling", action="store_true", help="cost per rollout by rollouts per step, instead")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 2:
        parser.error("--rounds must be at least 2")
    if arguments.clock == "cpu" and arguments.threads != 1:
        parser.error("--clock cpu adds up the seconds of all threads: leave --threads at 1")
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else None)
    names = arguments.workload or (NAMES[:1] if arguments.quick else NAMES)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the processes that do the work
    os.environ["PYTHONWARNINGS"] = "ignore"
    import torch

    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    machines = [Machine(device, arguments.threads, arguments.clock) for device in devices]
    if arguments.scaling or arguments.idle_rows:
        instead = scaling if arguments.scaling else idle_rows
        lines = [instead(rounds, machine) for machine in machines]
    elif arguments.limit:
        lines = [beside_products(name, rounds, machine) for name in names for machine in machines]
    else:
        collected: dict[str, dict[str, list[Lap]]] = {}
        lines = [
            compare(name, rounds, machine, collected, memory=not arguments.no_memory)
            for name in names
            for machine in machines
        ]
        if arguments.figure:
            from benchmarks.step_time_figure import draw

            draw(collected, arguments.figure)
    for line in lines:
        print(json.dumps(line))


def compare(
    name: str, rounds: int | None, machine: Machine, collected: dict[str, dict[str, list[Lap]]]
) -> dict[str, Any]:
    """One workload on one device: prints its table, keeps its laps in `collected`, returns its line."""
    from rich.console import Console

    from benchmarks.step_time_report import json_line, table

    laps = in_process(timed, name, rounds, machine)
    pair = (STOCK, OGER)
    with ThreadPoolExecutor(len(pair)) as threads:  # nothing is timed here
        peaks = dict(zip(pair, threads.map(lambda v: in_process(peak_memory, name, v, machine), pair), strict=True))
    label = machine.label(name)
    collected[label] = laps
    Console(width=120).print(table(label, laps, peaks))
    return json_line(label, laps, peaks)


def beside_products(name: str, rounds: int | None, machine: Machine) -> dict[str, Any]:
    """Generation and update of stock and OGER by the matrix products of OGER's alone, and by their own."""
    from rich.console import Console

    from benchmarks.step_time_report import limit_line, limit_table

    laps = in_process(timed, name, rounds, machine, (STOCK, OGER))
    Console(width=120).print(limit_table(machine.label(name), laps))
    return {"workload": machine.label(name), **limit_line(laps)}


def scaling(rounds: int | None, machine: Machine) -> dict[str, Any]:
    """OGER's cost per rollout at SCALES rollouts per step, micro-batches of 64 throughout."""
    from rich.console import Console

    from benchmarks.step_time_report import scaling_line, scaling_table

    laps = in_process(timed_scales, rounds or QUICK_ROUNDS, machine)
    label = machine.label("scaling")
    Console(width=120).print(scaling_table(label, laps))
    return {"workload": label, **scaling_line(laps)}


def idle_rows(rounds: int | None, machine: Machine) -> dict[str, Any]:
    """Plain GRPO on embedded-128 by OGER's trainer, with and without the rows that have no advantage."""
    from benchmarks.step_time_report import ratio_with_interval

    laps = in_process(timed_idle_rows, rounds, machine)
    ratio, interval = ratio_with_interval(laps[IDLE_OUT], laps[IDLE_IN])
    trained = {name: sum(lap.trained_rows for lap in each) for name, each in laps.items()}
    return {
        "workload": machine.label("idle-rows"),
        "ratio": round(ratio, 4),
        "ratio_ci95": [round(bound, 4) for bound in interval],
        "left_out_share": round(1 - trained[IDLE_OUT] / trained[IDLE_IN], 4),
    }


def in_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """What the function returns in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def timed(name: str, rounds: int | None, machine: Machine, variants: Sequence[str] = VARIANTS) -> dict[str, list[Lap]]:
    """Laps of the variants on a workload, without the warm-up."""
    from benchmarks.step_time_workloads import WORKLOADS

    workload = WORKLOADS[name]
    return _race({v: (workload, v) for v in variants}, rounds or workload.rounds, WARM_UP, machine)


def timed_idle_rows(rounds: int | None, machine: Machine) -> dict[str, list[Lap]]:
    """Laps of plain GRPO with and without rows that have no advantage."""
    from benchmarks.step_time_workloads import WORKLOADS

    workload = WORKLOADS["embedded-128"]
    return _race({v: (workload, v) for v in (IDLE_IN, IDLE_OUT)}, rounds or workload.rounds, WARM_UP, machine)


def timed_scales(rounds: int, machine: Machine, scales: Sequence[int] = SCALES) -> dict[str, list[Lap]]:
    """Laps of OGER's trainer by rollouts per step."""
    from benchmarks.step_time_workloads import Workload

    entrants = {str(scale): (Workload(rollouts=scale, micro_batch=64, rounds=rounds), OGER) for scale in scales}
    return _race(entrants, rounds, WARM_UP, machine, limit=False)


def timed_teachers(rounds: int, machine: Machine, numbers: Sequence[int]) -> dict[str, list[Lap]]:
    """Laps of OGER's trainer by teachers of every prompt."""
    from benchmarks.step_time_workloads import Workload

    entrants = {
        str(number): (Workload(rollouts=128, micro_batch=128, rounds=rounds, teachers=number), OGER)
        for number in numbers
    }
    return _race(entrants, rounds, WARM_UP, machine, limit=False)


def peak_memory(name: str, variant: str, machine: Machine) -> int:
    """Bytes that a process takes at most which trains one variant and nothing else."""
    from benchmarks.step_time_workloads import WORKLOADS

    _race({variant: (WORKLOADS[name], variant)}, MEMORY_STEPS, 0, machine)
    return _peak(machine)


def run_alone(name: str, variant: str, machine: Machine) -> tuple[Lap, int]:
    """One rollout step of a variant on one of GPU_WORKLOADS, not warmed up, and its process's most bytes."""
    from benchmarks.step_time_workloads import GPU_WORKLOADS

    [lap] = _race({variant: (GPU_WORKLOADS[name], variant)}, 1, 0, machine)[variant]
    return lap, _peak(machine)


def _peak(machine: Machine) -> int:
    if machine.device == "cpu":
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    import torch

    return torch.cuda.max_memory_allocated()


def _race(
    entrants: Mapping[str, tuple[Workload, str]], rounds: int, warm_up: int, machine: Machine, *, limit: bool = True
) -> dict[str, list[Lap]]:
    import datasets
    import torch
    from transformers.utils import logging

    from benchmarks.step_time_race import race
    from benchmarks.step_time_workloads import build
    from oger.verification import VerifierPool

    torch.set_num_threads(machine.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder, VerifierPool(cache_size=0) as pool:
        trainers = {
            name: build(workload, variant, warm_up + rounds, folder, device=machine.device, pool=pool)
            for name, (workload, variant) in entrants.items()
        }
        by_cpu = machine.clock == "cpu" and machine.device == "cpu"
        clock = time.process_time if by_cpu else time.perf_counter
        limited = [name for name in (OGER, STOCK) if limit and warm_up and machine.device == "cpu" and name in trainers]
        laps = race(trainers, warm_up + rounds, clock=clock, limited=limited)
    return {name: collected[warm_up:] for name, collected in laps.items()}


if __name__ == "__main__":
    main()
