"""before.json of a resumed run: what is stored and damaged is measured again, never half believed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from oger.training.run.evaluate import _stored

SUMMARY = {"pass@1": 0.25, "ci95": [0.125, 0.375], "pass@8": 0.5, "problems": 2, "samples": 8}
BEFORE = {"id": {"summary": SUMMARY, "outcomes": [1.0, None], "texts": ["a", "b"]}}
TESTS = {"id": [{"prompt": "1"}, {"prompt": "2"}]}


def test_what_is_whole_is_read(tmp_path: Path) -> None:
    (tmp_path / "before.json").write_text(json.dumps(BEFORE))
    assert _stored(tmp_path / "before.json", TESTS) == BEFORE


@pytest.mark.parametrize(
    "content",
    [[], [BEFORE], None, 7, "id", {}, {"id": None}, {"id": []}, {"id": [1, 2]}, {"id": {}}, {"other": BEFORE["id"]}],
    ids=str,
)
def test_what_is_no_record_is_measured_again(tmp_path: Path, content: Any) -> None:
    (tmp_path / "before.json").write_text(json.dumps(content))
    assert _stored(tmp_path / "before.json", TESTS) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("summary", None), ("summary", []), ("summary", {"pass@1": "x"}), ("summary", {**SUMMARY, "ci95": [1]}),
     ("summary", {**SUMMARY, "pass@1": None}), ("outcomes", [1.0]),
     ("outcomes", None), ("texts", ["a", 2]), ("texts", ["a", None]), ("texts", {}),
     ("texts", {"": 1, "x": 2}), ("outcomes", {"": 1, "x": 2}), ("texts", "ab")],
)  # fmt: skip
def test_a_record_that_could_not_be_shown_is_measured_again(tmp_path: Path, key: str, value: Any) -> None:
    content = copy.deepcopy(BEFORE)
    content["id"][key] = value
    (tmp_path / "before.json").write_text(json.dumps(content))
    assert _stored(tmp_path / "before.json", TESTS) is None
