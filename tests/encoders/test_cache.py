"""The cache gives back the same bits, notices every damage, and several processes may fill it at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from oger.encoders import CachedEncoder, EncoderIdentity, create_encoder
from oger.encoders.vector_store import KEY_BYTES, VectorStore

TEXTS = [f"{number} + {number} = {2 * number}" for number in range(40)]


class CountingEncoder:
    """Eight numbers per text, and what it was asked for."""

    def __init__(self, revision: str = "1", value: float = 1.0) -> None:
        self.identity = EncoderIdentity(name="counting", revision=revision, dimension=8, window=None, pooling="none")
        self.value = value
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        self.asked += texts
        rows = [torch.randn(8, generator=torch.Generator().manual_seed(sum(map(ord, text)))) for text in texts]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1) * self.value


def shard(folder: Path) -> Path:
    (found,) = folder.rglob("*.vectors")
    return found


def filled(folder: Path) -> torch.Tensor:
    return CachedEncoder(CountingEncoder(), folder).encode(TEXTS)


def quietly(folder: Path) -> CachedEncoder:
    """A cache that opens without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return CachedEncoder(CountingEncoder(), folder)


def test_every_text_is_computed_once_and_given_back_bit_for_bit(tmp_path: Path) -> None:
    encoder = CountingEncoder()
    cache = CachedEncoder(encoder, tmp_path)
    first = cache.encode([TEXTS[0], TEXTS[1], TEXTS[0], ""])
    second = cache.encode(TEXTS[::-1])
    assert encoder.asked == [TEXTS[0], TEXTS[1], "", *TEXTS[:1:-1]]
    assert torch.equal(second[-1], first[0])
    assert torch.equal(first[0], first[2])
    assert (len(cache), cache.computed) == (41, 41)
    again = quietly(tmp_path)
    assert torch.equal(again.encode(TEXTS), CountingEncoder().encode(TEXTS))
    assert again.computed == 0
    assert again.encode([]).shape == (0, 8)


def test_vectors_of_another_identity_are_not_used(tmp_path: Path) -> None:
    filled(tmp_path)
    other = CountingEncoder(revision="2")
    CachedEncoder(other, tmp_path).encode(TEXTS[:3])
    assert other.asked == TEXTS[:3]
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("identity.json")]
    assert sorted(record["revision"] for record in records) == ["1", "2"]


def test_a_file_moved_to_another_encoders_cache_is_not_trusted(tmp_path: Path) -> None:
    filled(tmp_path)
    foreign = shard(tmp_path)
    CachedEncoder(CountingEncoder(revision="2"), tmp_path)
    (other,) = (folder for folder in tmp_path.iterdir() if folder != foreign.parent)
    foreign.rename(other / foreign.name)
    with pytest.warns(RuntimeWarning, match="40 records .* are damaged"):
        assert len(CachedEncoder(CountingEncoder(revision="2"), tmp_path)) == 0


RECORD = KEY_BYTES + 4 * 8 + 8


def flip_a_bit_of_a_vector(data: bytearray) -> bytearray:
    data[3 * RECORD + KEY_BYTES + 5] ^= 1
    return data


def flip_a_bit_of_a_key(data: bytearray) -> bytearray:
    data[3 * RECORD] ^= 128
    return data


def flip_a_bit_of_a_checksum(data: bytearray) -> bytearray:
    data[4 * RECORD - 1] ^= 1
    return data


def lose_a_byte(data: bytearray) -> bytearray:
    del data[5]
    return data


def cut(data: bytearray) -> bytearray:
    return data[: len(data) // 2 - 3]


def zeros(data: bytearray) -> bytearray:
    return bytearray(len(data))


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (flip_a_bit_of_a_vector, 1),
        (flip_a_bit_of_a_key, 1),
        (flip_a_bit_of_a_checksum, 1),
        (lose_a_byte, 40),
        (cut, 21),
        (zeros, 40),
    ],
)
def test_damage_is_noticed_and_only_what_is_damaged_is_computed_anew(tmp_path: Path, damage: object, lost: int) -> None:
    expected = filled(tmp_path)
    path = shard(tmp_path)
    path.write_bytes(damage(bytearray(path.read_bytes())))  # type: ignore[operator]
    with pytest.warns(RuntimeWarning, match="computed anew"):
        cache = CachedEncoder(CountingEncoder(), tmp_path)
    assert torch.equal(cache.encode(TEXTS), expected)
    assert cache.computed == lost
    path.unlink()
    assert len(quietly(tmp_path)) == lost  # what was computed anew is kept


def test_damage_while_the_cache_is_open_is_noticed(tmp_path: Path) -> None:
    expected = filled(tmp_path)
    cache = quietly(tmp_path)
    path = shard(tmp_path)
    path.write_bytes(flip_a_bit_of_a_vector(bytearray(path.read_bytes())))
    with pytest.warns(RuntimeWarning, match="1 vectors in .* are damaged"):
        assert torch.equal(cache.encode(TEXTS), expected)
    assert cache.computed == 1


def test_a_file_removed_while_the_cache_is_open_is_computed_anew(tmp_path: Path) -> None:
    expected = filled(tmp_path)
    cache = quietly(tmp_path)
    shard(tmp_path).unlink()
    with pytest.warns(RuntimeWarning, match="40 vectors"):
        assert torch.equal(cache.encode(TEXTS), expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_vector_that_is_not_finite_is_neither_stored_nor_trusted(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        CachedEncoder(CountingEncoder(value=value), tmp_path).encode(TEXTS)
    assert len(quietly(tmp_path)) == 0
    VectorStore(tmp_path / "raw", 2, b"salt").add([b"k" * KEY_BYTES], np.array([[1.0, value]]))
    with pytest.warns(RuntimeWarning, match="1 records"):
        assert len(VectorStore(tmp_path / "raw", 2, b"salt")) == 0


def test_what_a_killed_process_had_stored_is_used(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from oger.encoders import CachedEncoder, create_encoder\n"
        "cache = CachedEncoder(create_encoder('ngram', features=64), sys.argv[1])\n"
        f"cache.encode({TEXTS[:25]!r})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    cache = CachedEncoder(create_encoder("ngram", features=64), tmp_path)
    assert cache.fill(TEXTS) == 15


def test_two_processes_fill_one_cache_at_once(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from oger.encoders import CachedEncoder, create_encoder\n"
        "cache = CachedEncoder(create_encoder('ngram', features=64), sys.argv[1])\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for start in range(int(sys.argv[2]), 3000, 50):\n"
        "    cache.encode([f'{number} + 1' for number in range(start, start + 100)])\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    processes = [
        subprocess.Popen([*command, start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for start in ("0", "50")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    texts = [f"{number} + 1" for number in range(3000)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache = CachedEncoder(create_encoder("ngram", features=64), tmp_path)
    assert torch.equal(cache.encode(texts), create_encoder("ngram", features=64).encode(texts))
    assert cache.computed == 0


def test_an_open_cache_sees_what_another_one_adds(tmp_path: Path) -> None:
    one, other = quietly(tmp_path), quietly(tmp_path)
    one.encode(TEXTS[:10])
    other.encode(TEXTS)
    one.encode(TEXTS)
    assert (one.computed, other.computed) == (10, 30)


def test_vectors_do_not_stay_in_memory(tmp_path: Path) -> None:
    """Ten thousand vectors of 4,096 numbers take 160 MB; where they are takes a few."""
    import psutil

    cache = CachedEncoder(create_encoder("ngram"), tmp_path)
    before = psutil.Process(os.getpid()).memory_info().rss
    cache.fill([f"{number} + 1 = {number + 1}" for number in range(10_000)])
    assert psutil.Process(os.getpid()).memory_info().rss - before < 80e6


def test_what_is_no_file_of_the_store_is_left_alone_and_not_waited_for(tmp_path: Path) -> None:
    filled(tmp_path)
    folder = shard(tmp_path).parent
    os.mkfifo(folder / "1-pipe.vectors")
    (folder / "2-folder.vectors").mkdir()
    (folder / "3-link.vectors").symlink_to("/dev/zero")
    (folder / "4-dangling.vectors").symlink_to(folder / "gone")
    assert len(quietly(tmp_path)) == len(TEXTS)
    assert len(list(folder.iterdir())) == 6


def test_a_file_that_cannot_be_read_is_named_and_its_vectors_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    whole = VectorStore._take_in

    def broken(store: VectorStore, path: Path) -> None:
        if path.name != "good.vectors":
            raise OSError(5, "Input/output error", str(path))
        whole(store, path)

    monkeypatch.setattr(VectorStore, "_take_in", broken)
    with pytest.warns(RuntimeWarning, match=r"\.vectors cannot be read \(Input/output error\)"):
        cache = CachedEncoder(CountingEncoder(), tmp_path)
    with warnings.catch_warnings(action="ignore"):
        assert torch.equal(cache.encode(TEXTS), CountingEncoder().encode(TEXTS))
    assert cache.computed == len(TEXTS)


def test_a_full_disk_costs_the_cache_and_not_the_run(tmp_path: Path) -> None:
    cache = CachedEncoder(CountingEncoder(), tmp_path)
    cache.encode(TEXTS[:3])
    cache._store._own = open("/dev/full", "ab", buffering=0)  # noqa: SIM115 - the store's own
    with pytest.warns(RuntimeWarning, match="No space left on device.*: no more vectors are kept"):
        assert torch.equal(cache.encode(TEXTS), CountingEncoder().encode(TEXTS))
    assert torch.equal(cache.encode(TEXTS), CountingEncoder().encode(TEXTS))  # without another word
    assert len(quietly(tmp_path)) == 3
