"""Rows of a whole split are kept, and never the cause of a failure."""

from pathlib import Path

import pytest

from oger.worlds import curated
from oger.worlds.world import load_world


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OGER_CACHE", str(tmp_path))
    return tmp_path / "worlds"


def test_kept_rows_are_the_rows(stored: Path) -> None:
    world = load_world("numbers")
    made = world.rows("ood_fixed")
    (file,) = stored.iterdir()
    before = file.stat().st_mtime_ns
    assert world.rows("ood_fixed") == made == world.rows("ood_fixed", limit=len(made))
    assert file.stat().st_mtime_ns == before


def test_another_seed_has_a_file_of_its_own(stored: Path) -> None:
    world = load_world("numbers")
    assert world.rows("ood_fixed") != world.rows("ood_fixed", seed=1)
    assert len(list(stored.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"[1]\n", b"{", b"\xff\xff"])
def test_damaged_rows_are_made_again(stored: Path, damage: bytes) -> None:
    world = load_world("numbers")
    made = world.rows("ood_fixed")
    (file,) = stored.iterdir()
    file.write_bytes(damage)
    assert world.rows("ood_fixed") == made
    assert file.read_bytes() != damage


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OGER_CACHE", str(tmp_path / "file"))
    assert len(load_world("numbers").rows("ood_fixed")) > 100


def test_changed_code_changes_the_name(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_world("numbers").rows("ood_fixed")
    monkeypatch.setattr(curated.oger, "__version__", "0")
    curated._digest.cache_clear()
    load_world("numbers").rows("ood_fixed")
    curated._digest.cache_clear()
    assert len(list(stored.iterdir())) == 2
