"""What a disk or a file system refuses, told in one line: full, broken, read-only, forbidden.

These come from outside at any read or write, also out of libraries with exceptions of their own, which repeat the
system's words.
"""

from __future__ import annotations

import errno
import os

from oger.terminal.errors import one_line

_LONGEST = 600  # characters: a path is repeated whole
_FAULTS = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.EBUSY, errno.ETXTBSY, errno.ENOLCK,
           errno.EOPNOTSUPP)  # fmt: skip
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room there, or name another place"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "change its permissions, or name another place"),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP), "name another place"),
    **dict.fromkeys(_FAULTS, "look at the disk, or name another place"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "close other programs, or raise the limit (ulimit -n)"),
}


def disk_fault(error: BaseException) -> str | None:
    """What the system refused, where, and what to do, in one line; None for any other error.

    >>> disk_fault(OSError(errno.ENOSPC, "No space left on device", "/a/b"))
    '/a/b: No space left on device: make room there, or name another place'
    >>> disk_fault(RuntimeError("IO Error: cannot write: No space left on device"))
    'IO Error: cannot write: No space left on device: make room there, or name another place'
    >>> disk_fault(OSError(errno.ECONNREFUSED, "Connection refused"))
    """
    number = _number(error)
    if number is None:
        return None
    said = one_line(error, _LONGEST)
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{error.filename}: "
        said = f"{place}{error.strerror}"[:_LONGEST]
    return f"{said}: {_ADVICE[number]}"


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in _ADVICE else None
    said = str(error)
    return next((number for number in _ADVICE if os.strerror(number) in said), None)
