"""The benchmark of log-probabilities and entropies: its variants agree, and it sees what they take."""

from __future__ import annotations

import json

import pytest
import torch
from benchmarks.logprob import (
    NAIVE_ARRAYS,
    OGER,
    TRL,
    VARIANTS,
    Corner,
    measured,
    peak_bytes,
    policy_ratios,
    report,
    tensors,
)

from benchmarks import logprob


def test_variants_compute_the_same() -> None:
    inputs = tensors(Corner(vocabulary=3_000, length=40, gradient=False, hidden=8))
    expected = VARIANTS["all at once"](*inputs)
    for name, variant in VARIANTS.items():
        for one, other in zip(variant(*inputs), expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0, msg=name)


@pytest.mark.parametrize("gradient", [False, True])
def test_arithmetic_of_all_at_once_is_what_it_takes(gradient: bool) -> None:
    corner = Corner(vocabulary=50_000, length=64, gradient=gradient, hidden=8)
    assert corner.naive_bytes == NAIVE_ARRAYS[gradient] * 4 * 64 * 50_000
    assert peak_bytes(corner, "all at once") == pytest.approx(corner.naive_bytes, rel=0.01)


def test_large_corner_is_computed_and_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logprob, "LARGEST_BYTES", 1e6)
    monkeypatch.setattr(logprob, "MIN_SECONDS", 0.0)
    small, large = (Corner(vocabulary, length=64, gradient=True, hidden=8) for vocabulary in (500, 5_000))
    rows = [measured(small), measured(large)]
    assert [row["naive_computed"] for row in rows] == [False, True]
    assert rows[1]["peak_bytes"]["all at once"] == 5 * 4 * 64 * 5_000
    assert set(rows[0]["time_ratio"]) == {TRL, OGER}
    assert not rows[1]["time_ratio"]
    report(rows)
    out = capsys.readouterr().out
    assert "6.4*" in out
    assert out.count("*") == 2, "the title and the large corner"
    line = json.loads(out.splitlines()[-1])
    assert line["time_ratio_with_gradient"] == rows[0]["time_ratio"]
    assert line["least_memory_ratio"] == rows[1]["memory_ratio"]
    assert line["time_ratio_without_gradient"] == {}


def test_the_policy_as_a_whole_runs_with_both_heads() -> None:
    ratios = policy_ratios(rounds=2, num_rows=4)
    assert set(ratios) == {"without_gradient", "with_gradient"}
    assert all(0.1 < ratio < 10 for ratio in ratios.values())
