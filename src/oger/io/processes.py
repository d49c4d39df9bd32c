"""Python processes that this package starts: what lies in the working folder is never imported by the name of a module.

`python -m` and `python -c` put the working folder before the standard library, so that a `json.py` in a folder of data
would be run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SAFE_PATH = "PYTHONSAFEPATH"


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package."""
    return [sys.executable, "-P", "-m", name, *arguments]


def worker_environment() -> dict[str, str]:
    """This process's environment, with its path for modules, by which what a user names is found in a worker, too.

    Where this process has the working folder on its path, as a script that lies there has, it comes last.
    """
    here = os.getcwd()
    away = [entry for entry in sys.path if entry not in ("", here)]
    return {**os.environ, _SAFE_PATH: "1", "PYTHONPATH": os.pathsep.join(away + [here] * (len(away) < len(sys.path)))}


@contextmanager
def safe_starts() -> Iterator[None]:
    """What starts processes by itself, as `multiprocessing` does with `python -c`, starts safe ones meanwhile."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def leave_working_folder() -> None:
    """For a process that is this package's command: takes the working folder off its paths, of modules and of programs,
    and off those of whatever is started from it, by other packages too (`platform` starts `uname`)."""
    os.environ[_SAFE_PATH] = "1"
    if path := os.environ.get("PATH"):
        os.environ["PATH"] = os.pathsep.join(filter(os.path.isabs, path.split(os.pathsep)))
    if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
