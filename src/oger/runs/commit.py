"""Which commit a folder is, without running anything that the folder's own configuration names.

A repository names programs to be run (`core.fsmonitor`, hooks, filters), and a folder of data may be a repository. So
HEAD is read here, and git sees index and objects only, through a configuration that is empty.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

_GIT_TIMEOUT_S = 10
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REF = re.compile(r"refs/[^\x00-\x20~^:?*\[\\]+")


def git_commit(folder: Path) -> str | None:
    """Commit of the git work tree that tracks `folder`, with "-dirty" where tracked files differ; None without one.

    A folder that the work tree ignores, such as a virtual environment inside a clone, belongs to no commit. Submodules
    are not looked into.
    """
    folder = folder.resolve()
    tree = next((above for above in (folder, *folder.parents) if os.path.lexists(above / ".git")), None)
    program = shutil.which("git", path=os.pathsep.join(filter(os.path.isabs, os.get_exec_path())))
    if tree is None or program is None:
        return None
    try:
        own, common = _repository(tree)
        commit = _head(own, common)
        with TemporaryDirectory() as empty:
            git = _Git(program, Path(empty), tree, own, common, commit)
            if not git("-C", str(folder), "ls-files", "--", "."):
                return None
            changes = git("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
    except (OSError, ValueError, subprocess.SubprocessError):  # no whole repository, or none that git can read so
        return None
    return f"{commit}-dirty" if changes else commit


class _Git:
    """git on a repository, with the folder `empty` in the place of its configuration, hooks and attributes."""

    def __init__(self, program: str, empty: Path, tree: Path, own: Path, common: Path, commit: str) -> None:
        self._program, self._tree = program, tree
        (empty / "HEAD").write_text(f"{commit}\n")
        (empty / "refs").mkdir()
        (empty / "config").write_text("[core]\n\trepositoryformatversion = 0\n")
        if (own / "index").is_file():  # a copy, since git writes into it
            shutil.copyfile(own / "index", empty / "index")
        self._environment = {
            "GIT_DIR": str(empty),
            "GIT_WORK_TREE": str(tree),
            "GIT_OBJECT_DIRECTORY": str(common / "objects"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "PATH": os.path.dirname(program),
            "LC_ALL": "C",
        }

    def __call__(self, *arguments: str) -> str:
        return subprocess.run(
            [self._program, *arguments],
            cwd=self._tree, env=self._environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=_GIT_TIMEOUT_S, check=True,
        ).stdout.strip()  # fmt: skip


def _repository(tree: Path) -> tuple[Path, Path]:
    """The git folder of a work tree, and the one whose objects and refs it uses; they differ in a linked work tree."""
    own = tree / ".git"
    if linked := _content(own):
        own = tree / linked.removeprefix("gitdir:").strip()
    return own, own / _content(own / "commondir")


def _head(own: Path, common: Path) -> str:
    """Raises ValueError where HEAD is no commit."""
    commit = _content(own / "HEAD")
    if commit.startswith("ref:"):
        ref = commit.removeprefix("ref:").strip()
        if not _REF.fullmatch(ref) or ".." in ref:
            raise ValueError("HEAD is no ref")
        packed = _content(common / "packed-refs").splitlines()
        commit = _content(common / ref) or next((line[:40] for line in packed if line.endswith(f" {ref}")), "")
    if not _COMMIT.fullmatch(commit):
        raise ValueError("HEAD is no commit")
    return commit


def _content(path: Path) -> str:
    """Of a file; empty where there is none."""
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
