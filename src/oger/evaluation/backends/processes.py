"""One policy in several processes that share the batches of an evaluation, a GPU each where there are several.

The processes only generate; storing is the parent's. Every batch has the seed of what is in it, so which process draws
it changes nothing: two processes give the responses of one.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from typing import Any

from oger.evaluation.backends.base import Generated, Request, SamplingSettings
from oger.evaluation.backends.base import Generator as ResponseGenerator
from oger.io.processes import python_module, worker_environment

Batch = Sequence[Request]

_GPUS = "CUDA_VISIBLE_DEVICES"


class GeneratorProcesses:
    """Processes that each load a policy; a context manager that ends them.

    Args:
        make: loads the policy; pickled, so a function of a module or a `functools.partial` of one.
        number: of processes.
    """

    def __init__(self, make: Callable[[], ResponseGenerator], number: int) -> None:
        self._workers = [_Worker(make, environment) for environment in _environments(number)]

    def __enter__(self) -> GeneratorProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    def draw(self, batches: Sequence[Batch], settings: SamplingSettings) -> Generator[list[Generated]]:
        """The responses of every batch, in the order in which they come.

        Raises:
            ValueError: what a generator raised, or a process that ended; what was yielded before is whole.
        """
        idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            idle.put(worker)

        def generate(batch: Batch) -> list[Generated]:
            worker = idle.get()
            try:
                return worker.generate(batch, settings)
            finally:
                idle.put(worker)

        threads = ThreadPoolExecutor(len(self._workers))
        try:
            for done in as_completed([threads.submit(generate, batch) for batch in batches]):
                yield done.result()
        finally:  # a thread that waits for its process ends with it
            threads.shutdown(wait=False, cancel_futures=True)


class _Worker:
    """A process and the two pipes to it."""

    def __init__(self, make: Callable[[], ResponseGenerator], environment: dict[str, str]) -> None:
        # A session of its own: Ctrl-C reaches the parent alone, which ends the process. Not multiprocessing, which
        # would run the user's main script again.
        self._process = subprocess.Popen(
            python_module("oger.evaluation.backends.process_worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._send(make)

    def generate(self, batch: Batch, settings: SamplingSettings) -> list[Generated]:
        """One batch, when it is done."""
        self._send((list(batch), settings))
        assert self._process.stdout is not None
        try:
            answer: list[Generated] | ValueError = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):  # nothing more, or half an answer
            raise ValueError(
                f"a process of the evaluation ended by itself (exit status {self._process.wait()}; -9 is often too "
                "little memory): what came is stored; run the same command again, with fewer --processes"
            ) from None
        if isinstance(answer, ValueError):
            raise answer
        return answer

    def end(self) -> None:
        """Kill it: whatever it is doing, nothing waits for that any more."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # what could not be written is for nobody now
                pipe.close()

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # it is dying: the end of its answers says how


def _environments(number: int) -> list[dict[str, str]]:
    """Of each process: one of the GPUs that this one sees, in turn, and its share of the threads."""
    import torch

    common = {
        **worker_environment(),
        "OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // number)),
    }
    seen = os.environ.get(_GPUS)
    gpus = seen.split(",") if seen else [str(index) for index in range(torch.cuda.device_count())]
    return [{**common, **({_GPUS: gpus[index % len(gpus)]} if gpus else {})} for index in range(number)]
