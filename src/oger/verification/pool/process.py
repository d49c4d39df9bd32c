"""One worker process as the pool sees it: its pipes, what it has been given, and how it ended.

A plain subprocess, not `multiprocessing`: it starts from any thread, inside asyncio, in daemonic children and in
scripts without a main guard, and it never copies a process that holds threads or a GPU.
"""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from oger.io.processes import python_module, worker_environment
from oger.verification.pool.frames import Decoder, Task, encode

_READ_BYTES = 1 << 16
_MAX_STDERR_BYTES = 4000
_EXIT_WAIT_S = 1.0
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Worker:
    """A running worker. All pipes are non-blocking: neither side can make the other wait for ever."""

    def __init__(self, kinds: Iterable[str], memory_limit: int) -> None:
        environment = {
            **worker_environment(),
            **dict.fromkeys(_ONE_THREAD, "1"),
            "PYTHONHASHSEED": "0",  # orders inside sympy follow the hashes: the same answer, the same verdict
        }
        # A session of its own: Ctrl-C reaches the parent alone, and one signal ends a grader's own children too.
        self._process = subprocess.Popen(
            python_module("oger.verification.pool.worker", str(memory_limit)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
        self._pipes = [pipe for pipe in (self._process.stdin, self._process.stdout, self._process.stderr) if pipe]
        self.tasks_fd, self.answers_fd, self.stderr_fd = (pipe.fileno() for pipe in self._pipes)
        for descriptor in (self.tasks_fd, self.answers_fd, self.stderr_fd):
            os.set_blocking(descriptor, False)
        self._decoder = Decoder()
        self._outgoing = bytearray()
        self._stderr = b""
        self.stderr_open = True
        self.ended = False
        """The worker closed its side: it is dead or dying."""
        self.spent = False
        """It ran into the memory limit: its heap is not worth keeping."""
        self.assigned: deque[tuple[int, Task]] = deque()
        """Tasks sent and not answered yet, with the caller's numbers; the first one is in progress."""
        self.began = time.monotonic()
        """When the task in progress, or the loading, began."""
        self.kinds: set[str] = set()
        self._unanswered_loads = 0
        self.load(kinds)

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for room in the pipe."""
        return bool(self._outgoing)

    @property
    def loading(self) -> bool:
        """Whether kinds are being imported, so that no deadline may run."""
        return self._unanswered_loads > 0

    def loaded(self) -> None:
        """The worker says that it is ready."""
        self._unanswered_loads -= 1

    def load(self, kinds: Iterable[str]) -> None:
        """Ask for kinds to be imported; `loading` until the worker has answered."""
        missing = sorted(set(kinds) - self.kinds)
        if missing or not self.kinds:
            self.kinds.update(missing)
            self._unanswered_loads += 1
            self.began = time.monotonic()
            self._outgoing += encode(("load", tuple(missing)))
            self.flush()

    def assign(self, index: int, task: Task, deadline_s: float) -> None:
        """Queue a task."""
        if not self.assigned:
            self.began = time.monotonic()
        self.assigned.append((index, task))
        self._outgoing += encode(("grade", deadline_s, task))

    def flush(self) -> None:
        """Write what the pipe takes."""
        while self._outgoing:
            try:
                written = os.write(self.tasks_fd, self._outgoing)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self._outgoing.clear()  # it is dying: the end of its answers says how
                return
            del self._outgoing[:written]

    def receive(self) -> list[Any]:
        """The messages that have arrived."""
        messages: list[Any] = []
        while True:
            try:
                data = os.read(self.answers_fd, _READ_BYTES)
            except BlockingIOError:
                return messages
            if not data:
                self.ended = True
                return messages
            messages.extend(self._decoder.feed(data))

    def drain_stderr(self) -> None:
        """Keep the last bytes of what was printed, so that a talkative library never fills the pipe."""
        while self.stderr_open:
            try:
                data = os.read(self.stderr_fd, _READ_BYTES)
            except BlockingIOError:
                return
            self.stderr_open = bool(data)
            self._stderr = (self._stderr + data)[-_MAX_STDERR_BYTES:]

    def stderr_tail(self) -> str:
        """The end of what the worker printed."""
        self.drain_stderr()
        return self._stderr.decode(errors="replace").strip()

    def end_of_life(self) -> tuple[bool, str]:
        """Wait for the end of a process that closed its pipes: (ended by its own alarm?, how it ended, in words)."""
        try:
            status = self._process.wait(_EXIT_WAIT_S)
        except subprocess.TimeoutExpired:
            return False, "closed its pipes"
        if status >= 0:
            return False, f"exit status {status}"
        return -status == signal.SIGALRM, f"signal {signal.Signals(-status).name}"

    def terminate(self) -> None:
        """Kill the process and its group at once; safe from any thread."""
        if self.alive:
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill, reap, and give the descriptors back."""
        self.terminate()
        self._process.wait()
        self._close_pipes()

    def forget(self) -> None:
        """In a forked child: let go of a worker that belongs to the parent."""
        self._process.returncode = 0  # not this process's child: nothing to wait for
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in self._pipes:
            pipe.close()
