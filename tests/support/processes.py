"""`oger` in processes of their own, which can be signalled, starved and killed; and faults to start them with.

They are forked from a server that has imported what a run needs, so that one starts in well under a second.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from oger.runs.metrics_log import read_metrics

STEPS = 6
OPTIONS = [f"max_steps={STEPS}", "save_steps=2", "steps_per_generation=2", "per_device_train_batch_size=8",
           "validation=null", "test=null", "probe_prompts=0"]  # fmt: skip
DEADLINE_S = 240.0
PROMPTS = 48

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["oger.cli.main", "oger.training.run.train", "oger.worlds.arithmetic"])


def start(log: Path, folder: Path, *extra: str, fault: str | None = None) -> ForkServerProcess:
    """`oger train smoke OPTIONS output_dir=FOLDER EXTRA`, its output in `log`, a fault of `FAULTS` waiting in it."""
    data = log.with_name("train.jsonl")
    if not data.is_file():
        data.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    arguments = ["train", "smoke", *OPTIONS, f"train={data}", f"output_dir={folder}", *extra]
    process = _CONTEXT.Process(target=_main, args=(str(log), arguments, fault), daemon=True)
    process.start()
    return process


def finish(process: ForkServerProcess) -> int:
    """Waits for the end and returns the exit status, negative for a signal."""
    process.join(DEADLINE_S)
    assert process.exitcode is not None, "the run hangs"
    return process.exitcode


def run(log: Path, folder: Path, *extra: str, fault: str | None = None) -> tuple[int, str]:
    """Exit status and output of `start`."""
    status = finish(start(log, folder, *extra, fault=fault))
    return status, log.read_text()


def wait_for_step(process: ForkServerProcess, folder: Path, step: int) -> None:
    """Returns once metrics.jsonl has the row of a step."""
    deadline = time.monotonic() + DEADLINE_S
    while not any(row["step"] >= step for row in read_metrics(folder / "metrics.jsonl")):
        assert process.is_alive(), "the run ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rows() -> list[dict[str, Any]]:
    """Small sums with two teachers: a run that need not read the world's own table starts at once."""
    sums = [(a, b) for a in range(1, 9) for b in range(1, 7)][:PROMPTS]
    return [
        {
            "prompt": f"{a}+{b}=?\n",
            "answer": str(a + b),
            "teachers": [f"{x}+{y}={a + b} \\boxed{{{a + b}}}\n" for x, y in ((a, b), (b, a))],
        }
        for a, b in sums
    ]


def _main(log: str, arguments: list[str], fault: str | None) -> None:
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
    os.dup2(1, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - the process's own
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from oger.cli.main import main

    if fault is not None:
        FAULTS[fault]()
    try:
        main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


# --- faults -----------------------------------------------------------------------------------------------------------


def _die_while_writing_a_checkpoint() -> None:
    import torch

    save = torch.save

    def dying(content: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        save(content, path, *args, **kwargs)
        if "checkpoint-4" in str(path) and str(path).endswith("optimizer.pt"):
            os.truncate(path, 1000)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = dying


def _too_large_at_step(step: int, method: str) -> Callable[[], None]:
    def plant() -> None:
        import torch

        from oger import OGERTrainer

        original = getattr(OGERTrainer, method)

        def greedy(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self.state.global_step >= step:
                torch.empty(1 << 50)  # what no machine has, asked of the real allocator
            return original(self, *args, **kwargs)

        setattr(OGERTrainer, method, greedy)

    return plant


def _clock_runs_backwards() -> None:
    began, calls = time.time(), iter(range(10**9))
    time.time = lambda: began - 60.0 * next(calls)


def _weights_break_at_the_end() -> None:
    from oger import OGERTrainer

    train = OGERTrainer.train

    def breaking(self: Any, *args: Any, **kwargs: Any) -> Any:
        import torch

        result = train(self, *args, **kwargs)
        with torch.no_grad():
            next(self.model.parameters()).view(-1)[0] = torch.inf
        return result

    OGERTrainer.train = breaking  # type: ignore[method-assign]


def _ends_before_the_first_step() -> None:
    from oger import OGERTrainer

    OGERTrainer.train = lambda self, *args, **kwargs: None  # type: ignore[method-assign,assignment]


def _engine_on_a_cpu() -> None:
    from tests.support import vllm_cpu

    vllm_cpu.colocate()


def _server_on_a_cpu() -> None:
    from tests.support import vllm_cpu

    vllm_cpu.server(Path(tempfile.mkdtemp()))


FAULTS: dict[str, Callable[[], None]] = {
    "die while writing a checkpoint": _die_while_writing_a_checkpoint,
    "memory in the update": _too_large_at_step(2, "_compute_loss"),
    "memory in generation": _too_large_at_step(2, "_generate"),
    "clock runs backwards": _clock_runs_backwards,
    "weights break at the end": _weights_break_at_the_end,
    "ends before the first step": _ends_before_the_first_step,
    "engine on a CPU": _engine_on_a_cpu,
    "server on a CPU": _server_on_a_cpu,
}
