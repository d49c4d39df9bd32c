"""One holder at a time, who can be named; the lock dies with its process and means nothing afterwards."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oger.io import lock as lock_module
from oger.io.lock import HeldError, Lock, LockFile

HOLDER = """
import sys, time
from pathlib import Path
from oger.io.lock import Lock, LockFile
with {"Lock": Lock, "LockFile": LockFile}[sys.argv[1]](Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(kind: str, path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, kind, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("name", ["", "content"])
def test_a_folder_or_file_has_one_holder_and_is_free_after_a_kill(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name:
        path.write_text("content")
    process = holder("Lock", path)
    with pytest.raises(HeldError, match=r"^another process$"):
        Lock(path)
    waited: list[Lock] = []
    waiting = threading.Thread(target=lambda: waited.append(Lock(path, wait=True)))
    waiting.start()
    waiting.join(0.3)
    assert not waited
    process.kill()
    process.wait()
    waiting.join(10)
    waited[0].release()
    with Lock(path), pytest.raises(HeldError):
        Lock(path)
    assert not name or path.read_text() == "content"


def test_a_lock_file_says_who_holds_it_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = holder("LockFile", path)
    with pytest.raises(HeldError, match=rf"^process {process.pid} on \S+$"):
        LockFile(path)
    process.kill()
    process.wait()
    assert path.is_file(), "SIGKILL leaves the file, and the file means nothing"
    with LockFile(path), pytest.raises(HeldError, match=f"^process {os.getpid()} on"):
        LockFile(path)
    assert not path.exists()


def test_who_opened_a_file_that_its_holder_removed_locks_the_new_one(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "lock"
    first = LockFile(path)
    descriptor = lock_module._open(path)  # opened, and then the holder goes
    opened = [descriptor]
    first.release()
    real = lock_module._open
    monkeypatch.setattr(lock_module, "_open", lambda path: opened.pop() if opened else real(path))
    second = LockFile(path)
    assert path.read_text().startswith(f"process {os.getpid()} on")
    with pytest.raises(HeldError):
        LockFile(path)
    second.release()


def test_a_file_system_without_locks_is_a_warning_where_one_is_wanted(tmp_path: Path, monkeypatch) -> None:
    def refuse(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_module, "lock_descriptor", refuse)
    said: list[str] = []
    with LockFile(tmp_path / "lock", said.append):
        assert (tmp_path / "lock").is_file()
    assert said == [f"{tmp_path} cannot be locked (No locks available): start no second process on it."]
    for make in (LockFile, Lock):
        with pytest.raises(OSError, match="No locks available"):
            make(tmp_path / "lock")
