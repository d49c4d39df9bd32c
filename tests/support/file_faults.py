"""Commands in which the N-th operation on files below a folder fails, or ends everything; see `file_faults.c`."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("file_faults.c")
DEADLINE_S = 240.0
KILL = "kill"


class _State(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_int64),
        ("fired", ctypes.c_int64),
        ("last", ctypes.c_uint64),
        ("where", ctypes.c_char * 512),
    )


@dataclass(frozen=True)
class Ended:
    """How a command under faults ended."""

    status: int | None
    """Exit status, negative for a signal, None where it hung."""
    output: str
    operations: int
    """Counted below the folder, by all its processes."""
    where: str | None
    """The operation that failed or killed, None where it never came to it."""

    @property
    def was_killed(self) -> bool:
        return self.status == -signal.SIGKILL


class FaultServer:
    """Runs commands; a context manager.

    Args:
        folder: of the library, the logs and the counts; nothing that is attacked may lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self._log, self._state = folder / "log", folder / "state"
        library = folder / "file_faults.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
        environment = {**os.environ, "LD_PRELOAD": str(library), "COLUMNS": "200", "OGER_DEBUG": ""}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fault_server"],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert json.loads(self._line()) == {"ready": True}

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(
        self,
        arguments: list[Any],
        root: Path,
        *,
        at: int = 0,
        how: str | int = KILL,
        what: str = "changes",
        lasts: bool = False,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> Ended:
        """Run `oger ARGUMENTS`.

        Args:
            root: the folder whose operations are counted.
            at: number of the operation that is hit; 0 hits none.
            how: `KILL`, or the number of an error.
            what: "changes" or "reads".
            lasts: whether every later operation fails, too.
            folder: the working folder; by default `root`'s parent.
        """
        self._state.write_bytes(bytes(ctypes.sizeof(_State)))
        asked = {"ROOT": root, "STATE": self._state, "WHAT": what, "AT": at, "HOW": how, "LASTS": int(lasts)}
        request = {
            "arguments": [str(argument) for argument in arguments],
            "log": str(self._log),
            "folder": str(folder or root.parent),
            "environment": {f"FILE_FAULTS_{name}": str(value) for name, value in asked.items()} | (environment or {}),
            "deadline": DEADLINE_S,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        status = json.loads(self._line())["status"]
        state = _State.from_buffer_copy(self._state.read_bytes())
        where = state.where.decode(errors="replace").replace(f"{root}", "ROOT") if state.fired else None
        return Ended(status, self._log.read_text(errors="replace"), state.count, where)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def has_compiler() -> bool:
    """Whether the library can be built."""
    return sys.platform == "linux" and shutil.which("cc") is not None
