"""`python -m tests.support.fault_server`: forks `oger` commands under `file_faults.c`, which it was started with.

A request is one JSON line {"arguments", "log", "folder", "environment", "deadline"}, the reply one line {"status"}.
What a command imports is imported here, once, so that a start costs a fraction of a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
import time
from typing import Any

from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from oger.cli.main import main

_PRELOADED = ("oger.training.run.train", "oger.worlds.arithmetic", "oger.teachers.curate.run", "oger.cli.benchmarks",
              "oger.evaluation.runner", "oger.teachers.collect.run", "duckdb", "pyarrow.parquet",
              "sklearn.feature_extraction.text", "oger.reporting.report", "oger.study.run")  # fmt: skip


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


def _command(request: dict[str, Any]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
    os.dup2(1, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - the process's own
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    ctypes.CDLL(None).file_faults_arm()
    code = 1
    try:
        main(request["arguments"])
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
