"""environment.json says what a run was made with."""

import json
import subprocess

import oger
from oger.runs.environment import environment, git_commit, write_environment


def test_the_environment_is_json_with_versions_and_hardware(tmp_path) -> None:
    path = write_environment(tmp_path)
    saved = json.loads(path.read_text())
    assert path.name == "environment.json"
    assert saved["oger"] == oger.__version__
    assert saved["cpu_count"] >= 1
    assert saved["packages"]["torch"].startswith("2.")
    assert saved["devices"] == environment()["devices"]


def test_a_folder_outside_git_or_ignored_by_it_has_no_commit(tmp_path) -> None:
    assert git_commit(tmp_path) is None
    git(tmp_path, "init")
    (tmp_path / "tracked.txt").write_text("1")
    (tmp_path / ".gitignore").write_text("ignored/\n")
    (tmp_path / "ignored").mkdir()
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=n", "-c", "user.email=e@x", "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_commit(tmp_path) == commit
    assert git_commit(tmp_path / "ignored") is None
    (tmp_path / "tracked.txt").write_text("2")
    assert git_commit(tmp_path) == f"{commit}-dirty"


def test_a_machine_without_git_has_no_commit(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) is None


def git(folder, *arguments: str) -> str:
    return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout.strip()
