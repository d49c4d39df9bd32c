"""Whatever a source of trajectories holds: every row is counted, as kept or as set aside, or the source is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from oger.evaluation.benchmark import Benchmark
from oger.evaluation.problems import load_problems
from oger.io.rows import load_rows
from oger.teachers.curate.run import curate
from oger.teachers.table.column import parse_cell
from oger.teachers.table.schema import validate_table
from tests.support.fuzz_parts import examples, holds, refused_in_one_line, scalars, texts, values
from tests.support.planted import good_text, options, plain_row, prompt_of

GOOD = [plain_row(prompt_of(n), str(2 * n + 1), good_text(n, "a"), metadata=None, kind="math") for n in range(3)]
TABLE_ROW = {
    **{name: GOOD[0][name] for name in ("prompt", "answer", "kind", "metadata")},
    "teachers": [{"teacher": "a", "text": GOOD[0]["text"], "num_tokens": 3, "verdict": "correct", "source": "s"}],
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {**GOOD[0], "generations": None, "finish_reason": "stop", "truncated": False, "correct": True,
              "source": "s"},
    "table": TABLE_ROW,
    "openr1": {"problem": GOOD[0]["prompt"], "answer": "1", "generations": [GOOD[0]["text"]],
               "is_reasoning_complete": [True], "correctness_math_verify": [True], "finish_reasons": ["stop"]},
    "luffy": {"prompt": [{"role": "user", "content": "1+0?"}],
              "target": [{"role": "assistant", "content": "\\boxed{1}"}],
              "reward_model": {"style": "rule", "ground_truth": "1"}},
}  # fmt: skip
_ODD_LINES = [
    b"",
    b"null",
    b"[1]",
    b'{"prompt": "?"',
    b"[" * 5000,
    b'"\\ud800"',
    b'{"answer": 1e999}',
    b"\xff\xfe\x00",
    b"NaN",
]


def _changed(row: dict[str, Any], key: str, inner: int, value: Any) -> dict[str, Any]:
    """The row with one cell, or something inside it, set to a value."""
    row = json.loads(json.dumps(row))
    cell = row[key]
    if inner == 1 and isinstance(cell, list):
        cell[0] = value
    elif inner == 2 and isinstance(cell, list) and isinstance(cell[0], dict):
        cell[0][next(iter(cell[0]))] = value
    elif inner == 2 and isinstance(cell, dict):
        cell[next(iter(cell))] = value
    else:
        row[key] = value
    return row


def rows(layout: str) -> st.SearchStrategy[Any]:
    good = LAYOUTS[layout]
    changed = st.builds(_changed, st.just(good), st.sampled_from(sorted(good)), st.integers(0, 2), values)
    return st.one_of(changed, changed, values)


def lines(layout: str) -> st.SearchStrategy[list[bytes]]:
    """JSON lines, a good row among them, so that the file is read at all."""
    encoded = rows(layout).map(lambda row: json.dumps(row, ensure_ascii=True).encode())
    line = st.one_of(
        encoded, encoded, st.sampled_from(_ODD_LINES), st.binary(max_size=30).map(lambda b: b.replace(b"\n", b""))
    )
    good = json.dumps(LAYOUTS[layout]).encode()
    return st.lists(line, max_size=6).map(lambda others: [good, *others])


def _curate(layout: str, path: Path, out: Path) -> None:
    for folder in (out, out.with_name("table.work")):
        shutil.rmtree(folder, ignore_errors=True)
    report = curate(options(f"mine={layout}:{path}", timeout_s=2.0), out)
    assert validate_table(out / "table.parquet").rows == report.prompts_kept
    for line in (out / "rejects.jsonl").read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize("layout", LAYOUTS)
@examples(12, 150)
def test_json_lines_of_any_kind_are_curated_and_counted(number: int, layout: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"

    def check(content: list[bytes]) -> None:
        path.write_bytes(b"\n".join(content))
        message = refused_in_one_line(lambda: _curate(layout, path, tmp_path / "table"))
        assert message is None or "no prompt is left" in message or "has no column" in message

    holds(number, lines(layout), check)


def _parquet(path: Path, columns: dict[str, list[Any]]) -> bool:
    """Whether Arrow can write such columns at all."""
    try:
        pq.write_table(pa.table(columns), path)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


@pytest.mark.parametrize("layout", ["plain", "luffy"])
@examples(20, 200)
def test_parquet_columns_of_any_type_are_curated_or_refused(number: int, layout: str, tmp_path: Path) -> None:
    path, good = tmp_path / "rows.parquet", LAYOUTS[layout]

    def check(changes: dict[str, list[Any]]) -> None:
        columns = {name: changes.get(name, [value, value]) for name, value in good.items()}
        if _parquet(path, columns):
            refused_in_one_line(lambda: _curate(layout, path, tmp_path / "table"))

    cells = st.one_of(
        st.lists(st.one_of(kind, st.none()), min_size=2, max_size=2)
        for kind in (
            texts,
            st.integers(-(2**62), 2**62),
            st.floats(),
            st.booleans(),
            st.binary(),
            st.lists(texts, max_size=2),
        )
    )
    holds(number, st.dictionaries(st.sampled_from(sorted(good)), cells, min_size=1, max_size=2), check)


@examples(60, 500)
def test_a_damaged_parquet_file_is_curated_or_refused(number: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    assert _parquet(path, {name: [row[name] for row in GOOD] for name in GOOD[0] if name != "metadata"})
    whole = path.read_bytes()

    def check(damage: list[tuple[int, int]]) -> None:
        content = bytearray(whole)
        for place, byte in damage:
            content[place % len(content)] = byte
        path.write_bytes(content)
        refused_in_one_line(lambda: _curate("plain", path, tmp_path / "table"), (ValueError, OSError))

    holds(number, st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8), check)


@examples(60, 2000)
def test_rows_of_a_source_are_loaded_or_refused(number: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    columns = {"prompt": "prompt", "answer": "answer", "id": "id", "kind": "kind", "metadata": "metadata"}

    def check(content: list[bytes]) -> None:
        path.write_bytes(b"\n".join(content))
        if refused_in_one_line(lambda: load_rows(str(path))) is None:
            benchmark = Benchmark(name="mine", source=str(path), columns=columns)
            refused_in_one_line(lambda: load_problems(benchmark, by=["teacher", "metadata"]))

    holds(number, lines("plain"), check)


@examples(300, 10_000)
def test_a_cell_of_teachers_is_read_or_refused(number: int) -> None:
    trajectory = st.dictionaries(st.one_of(st.sampled_from(["text", "teacher", "verdict"]), texts), values, max_size=4)
    cells = st.one_of(values, st.lists(st.one_of(trajectory, scalars), max_size=4))
    holds(number, cells, lambda cell: refused_in_one_line(lambda: parse_cell(cell)))
