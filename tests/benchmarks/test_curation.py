"""The benchmark of curation: whole curations of the responses that the plain loop grades."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.curation import ONE, PLAIN, TWO, measured, time_curation, written
from benchmarks.verification import mixed_pairs


@pytest.mark.soak
def test_every_way_is_timed_in_every_repetition() -> None:
    times = measured(mixed_pairs(12), repetitions=1)
    assert set(times) == {PLAIN, ONE, TWO}
    assert all(len(each) == 1 and each[0] > 0 for each in times.values())


def test_a_curation_that_loses_rows_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = written(mixed_pairs(4), tmp_path / "source.jsonl")
    assert time_curation(source, 1) > 0
    source.write_text(source.read_text() + "\n")  # a line that is no row
    with pytest.raises(AssertionError):
        time_curation(source, 1)
