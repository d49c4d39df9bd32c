"""Rollout files: one schema, whole files, strict rows."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oger.runs.rollouts import (
    SCHEMA,
    SCHEMA_VERSION,
    cut_rollouts_after,
    read_rollouts,
    write_rollouts,
)

ONLINE = {
    "group": 0, "row": 0, "origin": "online", "prompt": "1+1=?\n", "text": "2 \\boxed{2}", "outcome": 1.0,
    "divergence": 0.25, "entropy_last": 0.5, "entropy_mean": 0.75, "confidence": 0.6, "bonus": 0.15, "reward": 1.15,
    "advantage": 0.4, "truncated": False, "num_tokens": 7, "shaping": {"oger": 0.3},
}  # fmt: skip
TEACHER = {
    **dict.fromkeys(SCHEMA.names), "step": 3, "group": 0, "row": 1, "origin": "teacher", "teacher": "brisk",
    "prompt": "1+1=?\n", "text": "\\boxed{2}", "outcome": 1.0, "reward": 1.0, "truncated": False, "num_tokens": 4,
}  # fmt: skip
REPLACED = {
    "group": 0, "row": 1, "origin": "replaced", "prompt": "1+1=?\n", "text": "?", "truncated": True, "num_tokens": 9,
}  # fmt: skip


def test_rows_come_back_as_written(tmp_path) -> None:
    path = write_rollouts(tmp_path, 3, [ONLINE, TEACHER, REPLACED])
    assert path == tmp_path / "rollouts" / "step-000003.parquet"
    rows = read_rollouts(tmp_path).to_pylist()
    assert rows[0] == {**ONLINE, "step": 3, "teacher": None, "given_tokens": None, "shaping": [("oger", 0.3)]}
    assert rows[1] == {**TEACHER, "given_tokens": None}
    assert rows[2] == {**dict.fromkeys(SCHEMA.names), **REPLACED, "step": 3}


def test_the_file_carries_the_schema_and_its_version(tmp_path) -> None:
    schema = pq.read_schema(write_rollouts(tmp_path, 1, [ONLINE]))
    assert schema.equals(SCHEMA)
    assert schema.metadata[b"oger.rollouts.version"] == str(SCHEMA_VERSION).encode()
    assert not list(tmp_path.rglob("*.tmp"))


def test_steps_are_read_in_order_or_one_alone(tmp_path) -> None:
    for step in (20, 3, 100):
        write_rollouts(tmp_path, step, [ONLINE])
    assert read_rollouts(tmp_path)["step"].to_pylist() == [3, 20, 100]
    assert read_rollouts(tmp_path, 20)["step"].to_pylist() == [20]


def test_a_cut_removes_later_steps(tmp_path) -> None:
    for step in (1, 2, 3):
        write_rollouts(tmp_path, step, [ONLINE])
    cut_rollouts_after(tmp_path, 2)
    assert read_rollouts(tmp_path)["step"].to_pylist() == [1, 2]


def test_a_step_without_rows_is_an_empty_file(tmp_path) -> None:
    write_rollouts(tmp_path, 1, [])
    assert read_rollouts(tmp_path).num_rows == 0


def test_a_chat_prompt_is_stored_as_json(tmp_path) -> None:
    chat = [{"role": "user", "content": "Größe?"}]
    write_rollouts(tmp_path, 1, [{**ONLINE, "prompt": chat}])
    assert json.loads(read_rollouts(tmp_path)["prompt"][0].as_py()) == chat


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"divergenc": 1.0}, "unknown rollout column: divergenc"),
        ({"text": None}, "lacks: text"),
        ({"origin": "offline"}, "origin must be one of"),
        ({"step": 4}, "row of step 4"),
        ({"outcome": "yes"}, "does not fit the schema"),
    ],
)
def test_a_wrong_row_is_refused_and_leaves_no_file(tmp_path, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_rollouts(tmp_path, 1, [{**ONLINE, **change}])
    assert not list(tmp_path.iterdir())


def test_another_version_is_refused(tmp_path) -> None:
    other = SCHEMA.with_metadata({b"oger.rollouts.version": b"99"})
    path = write_rollouts(tmp_path, 1, [])
    pq.write_table(pa.Table.from_pylist([], schema=other), path)
    with pytest.raises(ValueError, match="version 99; this oger reads version 2"):
        read_rollouts(tmp_path)


def test_a_missing_or_broken_file_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no rollouts"):
        read_rollouts(tmp_path)
    with pytest.raises(FileNotFoundError, match="of step 7"):
        read_rollouts(tmp_path, 7)
    write_rollouts(tmp_path, 1, []).write_bytes(b"not parquet at all")
    with pytest.raises(ValueError, match=r"step-000001\.parquet is not a readable"):
        read_rollouts(tmp_path)


def test_a_changed_byte_is_never_read_as_data(tmp_path) -> None:
    rows = [{**ONLINE, "row": place, "text": f"{place * 7919} " * 9} for place in range(300)]
    path = write_rollouts(tmp_path, 1, rows)
    whole = path.read_bytes()
    expected = read_rollouts(tmp_path).to_pylist()
    messages = []
    for place in range(4, len(whole) - 8, len(whole) // 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert read_rollouts(tmp_path).to_pylist() == expected  # what nobody reads may change: statistics, indexes
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > 40
    assert all(str(path) in message and "\n" not in message for message in messages)
