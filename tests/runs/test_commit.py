"""The commit of a folder is told without running what its repository names."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from oger.runs.commit import git_commit


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@x", "-c", "protocol.file.allow=always")
    return subprocess.run(
        ["git", "-C", folder, *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit of `tracked.txt` in `inner`."""
    folder = tmp_path / "clone"
    (folder / "inner").mkdir(parents=True)
    git(folder, "init")
    (folder / "inner" / "tracked.txt").write_text("1")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


def test_a_folder_outside_git_or_ignored_by_it_has_no_commit(tmp_path: Path, clone: Path) -> None:
    assert git_commit(tmp_path) is None
    (clone / ".gitignore").write_text("ignored/\n")
    (clone / "ignored").mkdir()
    assert git_commit(clone / "ignored") is None


def test_a_commit_is_dirty_where_tracked_files_differ(clone: Path) -> None:
    commit = git(clone, "rev-parse", "HEAD")
    assert git_commit(clone) == git_commit(clone / "inner") == commit
    (clone / "new.txt").write_text("untracked")
    assert git_commit(clone) == commit
    (clone / "inner" / "tracked.txt").write_text("2")
    assert git_commit(clone) == f"{commit}-dirty"
    git(clone, "commit", "-am", "second")
    assert git_commit(clone) == git(clone, "rev-parse", "HEAD") != commit


def test_packed_refs_detached_heads_and_linked_work_trees_are_read(clone: Path, tmp_path: Path) -> None:
    commit = git(clone, "rev-parse", "HEAD")
    git(clone, "worktree", "add", str(tmp_path / "linked"))
    git(clone, "pack-refs", "--all")
    assert git_commit(clone) == git_commit(tmp_path / "linked" / "inner") == commit
    git(clone, "checkout", "--detach")
    assert git_commit(clone) == commit


def test_nothing_that_a_repository_names_is_run(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker, program = tmp_path / "executed", clone / ".git" / "hooks" / "post-index-change"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    inner = tmp_path / "part"
    inner.mkdir()
    git(inner, "init")
    (inner / "file").touch()
    git(inner, "add", ".")
    git(inner, "commit", "-m", "part")
    git(clone, "submodule", "add", str(inner), "part")
    (clone / ".gitattributes").write_text("* filter=mine diff=mine\n")
    git(clone, "add", ".")
    git(clone, "commit", "-m", "traps")
    for folder in (clone, clone / "part"):
        git(folder, "config", "core.fsmonitor", str(program))
        git(folder, "config", "filter.mine.clean", str(program))
        git(folder, "config", "filter.mine.process", str(program))
        git(folder, "config", "diff.mine.textconv", str(program))
        git(folder, "config", "core.pager", str(program))
    (clone / "inner" / "tracked.txt").write_text("3")
    os.utime(clone / ".gitattributes", (1, 1))  # so that git looks into both files

    (clone / "git").write_text(f"#!/bin/sh\ntouch {marker}\n")
    (clone / "git").chmod(0o755)
    monkeypatch.chdir(clone)
    monkeypatch.setenv("PATH", f":.:{os.environ['PATH']}")
    marker.unlink(missing_ok=True)
    assert str(git_commit(clone)).endswith("-dirty")
    assert not marker.exists()
    subprocess.run([git_program(), "status"], cwd=clone, check=False, capture_output=True)
    assert marker.exists()  # git itself falls into the traps


def git_program() -> str:
    return next(
        p for entry in os.environ["PATH"].split(":") if os.path.isabs(entry) and os.path.exists(p := f"{entry}/git")
    )


@pytest.mark.parametrize("head", ["", "ref: ../../secret", "ref: refs/../HEAD", "0" * 39, "ref: refs/heads/gone"])
def test_a_damaged_head_is_no_commit(clone: Path, head: str) -> None:
    (clone / ".git" / "HEAD").write_text(head)
    assert git_commit(clone) is None


def test_a_pipe_in_the_place_of_head_is_not_waited_for(clone: Path) -> None:
    (clone / ".git" / "HEAD").unlink()
    os.mkfifo(clone / ".git" / "HEAD")
    assert git_commit(clone) is None


def test_a_machine_without_git_has_no_commit(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(clone) is None
