"""One definition of the table, and a validator that finds what breaks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oger.teachers.table.schema import TableError, prompt_id, table_schema, validate_table

TRAJECTORY = {"teacher": "r1", "text": "so \\boxed{2}", "num_tokens": 3, "verdict": "correct", "source": "mine"}


def row(prompt: Any = "1+1=?", **changes: Any) -> dict[str, Any]:
    fixed = {"prompt_id": prompt_id(prompt), "prompt": prompt, "answer": "2", "kind": "math", "metadata": None}
    return {**fixed, "teachers": [TRAJECTORY], **changes}


def write(path: Path, rows: list[dict[str, Any]], *, chat: bool = False) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, table_schema(chat=chat)), path)
    return path


def test_a_valid_table_is_summed_up(tmp_path: Path) -> None:
    rows = [row(), row("2+2=?", teachers=[]), row("3?", metadata='{"a": 1}')]
    summary = validate_table(write(tmp_path / "t.parquet", rows))
    assert (summary.rows, summary.trajectories, summary.chat) == (3, 2, False)
    chat = [{"role": "system", "content": ""}, {"role": "user", "content": "?"}]
    assert validate_table(write(tmp_path / "c.parquet", [row(chat)], chat=True)).chat


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": " \n", "prompt_id": "x"}, "the prompt is empty"),
        ({"prompt_id": "0" * 32}, "prompt_id does not belong to the prompt"),
        ({"answer": None}, "no answer"),
        ({"kind": ""}, "no kind"),
        ({"metadata": "{"}, "metadata is not JSON"),
        ({"teachers": None}, "teachers is null"),
        ({"teachers": [None]}, "trajectory 0 lacks one of"),
        ({"teachers": [TRAJECTORY, {**TRAJECTORY, "source": None}]}, "trajectory 1 lacks one of"),
        ({"teachers": [{**TRAJECTORY, "text": " "}]}, "trajectory 0 has no text"),
        ({"teachers": [{**TRAJECTORY, "verdict": "right"}]}, "has the verdict 'right'"),
        ({"teachers": [{**TRAJECTORY, "num_tokens": 0}]}, "has num_tokens 0"),
        ({"prompt": "first", "prompt_id": prompt_id("first")}, "the prompt stands in an earlier row"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "t.parquet", [row("first"), row(**changes)])
    with pytest.raises(TableError, match=message) as caught:
        validate_table(path)
    assert "row 1" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": ["?"]}, "without answer, kind"),
        ({**{name: ["x"] for name in ("prompt_id", "prompt", "answer", "kind", "metadata")}, "teachers": [1]}, "int64"),
        ({"rows": [1]}, "with rows"),
    ],
)
def test_other_columns_and_types_are_said(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(TableError, match=message):
        validate_table(tmp_path / "t.parquet")


def test_a_prompt_has_one_name_whatever_its_spacing_form_or_system_message() -> None:
    user = {"role": "user", "content": "Caf\u00e9  1+1\n=?"}
    same = ["Cafe\u0301 1+1 =?\n", [user], [{"role": "system", "content": "Think."}, user]]
    assert len({prompt_id(prompt) for prompt in same}) == 1
    assert prompt_id("caf\u00e9 1+1 =?") != prompt_id(same[0])
    assert prompt_id([user, {"role": "assistant", "content": "2"}]) != prompt_id([user])
