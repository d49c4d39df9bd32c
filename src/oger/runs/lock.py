"""One process, or one group of ranks, at a time in a run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oger.io.lock import HeldError, LockFile
from oger.runs.paths import LOCK


@contextmanager
def run_lock(run: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of a run folder, which is made where it is not there; afterwards no empty folder is left.

    Args:
        warn: takes a line where the file system has no locks, and nothing can be promised.

    Raises:
        ValueError: another process trains in this folder, or nothing can be written into it.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock = LockFile(run / LOCK, warn)
    except HeldError as holder:
        raise ValueError(f"{holder} trains in {run}: wait for it, or set another output_dir.") from None
    except OSError as error:
        raise ValueError(f"cannot write into {run} ({error.strerror}): set another output_dir.") from error
    try:
        with lock:
            yield
    finally:
        with suppress(OSError):  # something is in it
            run.rmdir()
