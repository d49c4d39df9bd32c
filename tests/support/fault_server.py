"""`python -m tests.support.fault_server`: forks `oger` commands under `file_faults.c`, which it was started with.

A request is one JSON line {"arguments", "log", "folder", "environment", "deadline"}, the reply one line {"status"}.
What a command imports is imported here, once, so that a start costs a fraction of a second; the cells of a study are
forked, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import IO, Any, NoReturn

from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from oger.cli.main import main
from oger.study import pool

_PRELOADED = ("oger.training.run.train", "oger.worlds.arithmetic", "oger.teachers.curate.run", "oger.cli.benchmarks",
              "oger.evaluation.runner", "oger.teachers.collect.run", "duckdb", "pyarrow.parquet",
              "sklearn.feature_extraction.text", "oger.reporting.report", "oger.study.run",
              "oger.study.measure", "oger.training.run.evaluate", "oger.training.run.warm_start")  # fmt: skip


def serve() -> None:
    for name in _PRELOADED:
        __import__(name)
    get_checkpoint_conversion_mapping("llama")  # a table that is made once in a process, for half a second
    gc.freeze()  # else the collector of every fork writes into, and so copies, what was imported
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            _command(request)
        print(json.dumps({"status": _wait(child, request["deadline"])}), flush=True)
    os._exit(0)  # without the second that so many modules take to end


def _wait(child: int, deadline_s: float) -> int | None:
    """Exit status, negative for a signal; None where it had to be killed."""
    end = time.monotonic() + deadline_s
    try:
        while True:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return None
            time.sleep(0.01)
    finally:
        with contextlib.suppress(ProcessLookupError):  # what it started must not work on into the next command
            os.killpg(child, signal.SIGKILL)


def _command(request: dict[str, Any]) -> NoReturn:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    ctypes.CDLL(None).file_faults_arm()
    pool.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": _Forked})
    _end_with(lambda: main(request["arguments"]), output)


class _Forked:
    """What the pool of a study needs of `Popen`, for `python ... -m MODULE ARGUMENTS`, without a new interpreter."""

    def __init__(self, command: list[str], *, stdout: IO[bytes], env: Mapping[str, str], **_: Any) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            os.setsid()
            os.environ.clear()
            os.environ.update(env)
            module = command.index("-m") + 1
            sys.argv = command[module:]
            _end_with(lambda: runpy.run_module(command[module], run_name="__main__"), stdout.fileno())

    def poll(self) -> int | None:
        if self.returncode is None and (found := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(found[1])
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        end = time.monotonic() + (timeout or 0)
        while self.poll() is None:
            if timeout is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired("oger.study.worker", timeout)
            time.sleep(0.01)
        return self.returncode or 0


def _end_with(work: Callable[[], Any], output: int) -> NoReturn:
    """Do the work with its output where it is asked for, and end as the interpreter would."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(1, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - the process's own
    code = 1
    try:
        work()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - as the interpreter shows it
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
