"""One process, or one group of ranks, at a time in a run folder.

The lock is the kernel's: it dies with its process, by SIGKILL too, and the file that it is on is then left behind
without meaning. A file, since network file systems lock no folders.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FILE_NAME = "lock"

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def run_lock(run: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of a run folder, which is made where it is not there; afterwards no empty folder is left.

    Args:
        run: the run folder.
        warn: takes a line where the file system has no locks, and nothing can be promised.

    Raises:
        ValueError: another process trains in this folder, or nothing can be written into it.
    """
    path = run / FILE_NAME
    try:
        run.mkdir(parents=True, exist_ok=True)
        file = _locked(path, warn)
    except BlockingIOError:
        raise ValueError(f"{_holder(path)} trains in {run}: wait for it, or set another output_dir.") from None
    except OSError as error:
        raise ValueError(f"cannot write into {run} ({error.strerror}): set another output_dir.") from error
    try:
        yield
    finally:
        # While it is still locked: whoever opened the file meanwhile finds that it is no longer the one in the folder.
        with suppress(OSError):  # a folder that can no longer be written keeps a file without meaning
            path.unlink(missing_ok=True)
            run.rmdir()  # unless something is in it
        os.close(file)


def _locked(path: Path, warn: Callable[[str], None]) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(file)
                raise
            warn(f"{path.parent} cannot be locked ({error.strerror}): start no second process on it.")
        if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
            os.ftruncate(file, 0)
            os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return file
        os.close(file)  # its last holder has just removed it


def _holder(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace") or "another process"
    return "another process"
