"""The kernel's lock of a file or a folder: it dies with its process, by SIGKILL too.

filelock's `FileLock` locks no folder, tells nobody who holds it, and without `flock` turns to a file whose presence is
the lock, which would outlive its process; so only its `lock_descriptor` serves here.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from filelock import lock_descriptor

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


class HeldError(BlockingIOError):
    """Another process holds the lock; the message is who, such as "process 12 on host"."""


class Lock:
    """The lock of a folder or of a file with a content of its own; held until `release`. A context manager.

    Args:
        path: a folder that is there, or a file, which is made where it is not there.
        wait: for whoever holds it, without limit.

    Raises:
        HeldError: another process holds it.
        OSError: it cannot be opened or locked.
    """

    def __init__(self, path: Path, *, wait: bool = False) -> None:
        self._descriptor = _open(path)
        _take(self._descriptor, "another process", wait=wait)

    def release(self) -> None:
        """Gives the lock back."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class LockFile(Lock):
    """A file that is only there to be locked: it says who holds it and is removed on `release`. A context manager.

    A file rather than its folder where the folder may lie on a network: such file systems lock no folders. What a
    killed process left behind means nothing.

    Args:
        path: of the file; its folder is there.
        warn: takes a line where the file system has no locks, and nothing can be promised; without it that is an error.

    Raises:
        HeldError: another process holds it.
        OSError: it cannot be written or locked, or a link, a pipe or a folder is in its place.
    """

    def __init__(self, path: Path, warn: Callable[[str], None] | None = None) -> None:
        self._path = path
        while True:
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise OSError(errno.EINVAL, f"{path.name} is there and is no file: it is left alone")
            self._descriptor = _open(path)
            try:
                _take(self._descriptor, _holder(path))
            except OSError as error:
                if warn is None or error.errno not in _NO_LOCKS:
                    raise
                warn(f"{path.parent} cannot be locked ({error.strerror}): start no second process on it.")
                self._descriptor = _open(path)
            if path.exists() and os.path.samestat(os.fstat(self._descriptor), path.stat()):
                os.ftruncate(self._descriptor, 0)
                os.write(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return
            os.close(self._descriptor)  # its last holder has just removed it

    def release(self) -> None:
        """Removes the file and gives the lock back."""
        # While it is still locked: whoever opened the file meanwhile finds that it is no longer the one in the folder.
        with suppress(OSError):  # a folder that can no longer be written keeps a file without meaning
            self._path.unlink(missing_ok=True)
        super().release()


def _open(path: Path) -> int:
    mode = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    return os.open(path, mode | os.O_CLOEXEC, 0o644)


def _take(descriptor: int, holder: str, *, wait: bool = False) -> None:
    """Locks, or closes what is not locked."""
    try:
        if not lock_descriptor(descriptor, blocking=wait):
            raise HeldError(holder)
    except BaseException:
        os.close(descriptor)
        raise


def _holder(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace") or "another process"
    return "another process"
