"""Whatever stands in a file that we read: it is read, left out, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from oger.evaluation.store import LINES, SETTINGS, ResponseStore
from oger.io.lines import read_lines
from oger.io.objects import read_object
from oger.io.rows import python_rows
from oger.io.whole import MANIFEST, damage
from oger.runs.metrics_log import MetricsLog, read_metrics
from oger.study.damage import damaged_cells, without_cells
from oger.study.store import CURVES, OUTCOMES, RESULTS
from oger.training.metrics.trackers import tracker_id
from oger.training.run.evaluate import _stored
from tests.fuzz.test_tables import _ODD_LINES
from tests.support.fuzz_parts import examples, holds, refused_in_one_line, scalars, texts, values

contents = st.one_of(
    values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
    st.sampled_from(_ODD_LINES),
    st.dictionaries(st.sampled_from(["step", "eval/outcome", "id", "weights"]), values).map(
        lambda value: json.dumps(value).encode()
    ),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


@examples(150, 5_000)
def test_any_file_is_an_object_or_refused_with_its_name(number: int, path: Path) -> None:
    def check(content: bytes) -> None:
        path.write_bytes(content)
        found: list[Any] = []
        message = refused_in_one_line(lambda: found.append(read_object(path, {"step": int})))
        assert isinstance(found[0]["step"], int) if message is None else str(path) in message
        assert "\n" not in (message or "")

    holds(number, contents, check)


@examples(100, 3_000)
def test_any_record_of_an_evaluation_is_read_or_measured_again(number: int, path: Path) -> None:
    entry = st.fixed_dictionaries(
        {
            "summary": st.one_of(values, st.fixed_dictionaries({"pass@1": scalars}, optional={"ci95": values})),
            "outcomes": st.one_of(values, st.lists(scalars, min_size=1, max_size=1)),
            "texts": st.one_of(values, st.lists(scalars, min_size=1, max_size=1)),
        }
    )

    def check(content: Any) -> None:
        path.write_text(json.dumps(content))
        found = _stored(path, {"id": [{"prompt": "1"}]})
        assert found is None or isinstance(found["id"]["texts"][0], str)

    holds(number, st.one_of(values, st.fixed_dictionaries({"id": st.one_of(values, entry)})), check)


@examples(100, 3_000)
def test_any_manifest_is_damage_or_what_is_there(number: int, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"12345")

    def check(content: bytes) -> None:
        (tmp_path / MANIFEST).write_bytes(content)
        wrong = damage(tmp_path)
        assert wrong is None or "\n" not in wrong

    entries = st.dictionaries(st.one_of(st.just("weights"), texts), st.one_of(values, st.lists(scalars, max_size=2)))
    holds(number, st.one_of(contents, entries.map(lambda value: json.dumps(value).encode())), check)


@examples(100, 3_000)
def test_any_metrics_are_rows_or_refused(number: int, tmp_path: Path) -> None:
    def check(lines: list[bytes]) -> None:
        path = tmp_path / "metrics.jsonl"
        path.write_bytes(b"\n".join(lines))
        if refused_in_one_line(lambda: read_metrics(path)) is None:
            rows = read_metrics(path)
            refused_in_one_line(lambda: MetricsLog(path).log(2**53 - 1, {"reward": 1.0}))
            assert read_metrics(path)[: len(rows) - 1] == rows[:-1]

    holds(number, st.lists(contents, max_size=4), check)


@examples(60, 1_500)
def test_any_stored_responses_are_taken_or_refused(number: int, tmp_path: Path) -> None:
    row = st.fixed_dictionaries(
        {
            "problem": st.one_of(st.just("p"), scalars),
            "sample": scalars,
            "text": st.one_of(texts, scalars),
            "num_tokens": scalars,
            "finish_reason": st.one_of(st.just("stop"), scalars),
            "asked": st.one_of(st.just("x"), scalars),
        }
    )

    def check(rows: list[Any]) -> None:
        (tmp_path / SETTINGS).unlink(missing_ok=True)
        (tmp_path / LINES).write_text("".join(json.dumps(row) + "\n" for row in rows))

        def use() -> None:
            with ResponseStore(tmp_path, {"seed": 0}) as store:
                for (problem, sample), response in store.responses.items():
                    assert isinstance(problem, str)
                    assert 0 <= sample < 2**31
                    assert response.generated.num_tokens is None or 0 <= response.generated.num_tokens < 2**31

        refused_in_one_line(use)

    holds(number, st.lists(st.one_of(row, values), max_size=3), check)


@examples(60, 2_000)
def test_any_lines_and_any_tracker_id_are_read(number: int, tmp_path: Path) -> None:
    def check(content: bytes) -> None:
        (tmp_path / "lines.jsonl").write_bytes(content)
        assert b"".join(line.content for line in read_lines(tmp_path / "lines.jsonl")) == content
        (tmp_path / "tracker_id").write_bytes(content)
        assert len(tracker_id(tmp_path)) == 8

    holds(number, contents, check)


@examples(60, 2_000)
def test_any_results_of_a_study_are_whole_or_left_out(number: int) -> None:
    schemas = {"results": RESULTS, "outcomes": OUTCOMES, "curves": CURVES}

    def cell(field: pa.Field) -> st.SearchStrategy[Any]:
        if pa.types.is_string(field.type):
            good = st.sampled_from(["easy/a", "{}", "01?", "[]", '{"1": 0.5}'])
            return st.one_of(st.none(), good, st.text(max_size=5))
        if pa.types.is_floating(field.type):
            return st.one_of(st.none(), st.floats())
        return st.one_of(st.none(), st.integers(-3, 100))

    rows = {
        name: st.lists(st.fixed_dictionaries({field.name: cell(field) for field in schema}), max_size=2)
        for name, schema in schemas.items()
    }

    def check(found: dict[str, list[dict[str, Any]]]) -> None:
        tables = {name: pa.Table.from_pylist(found[name], schema=schemas[name]) for name in schemas}
        names = damaged_cells(tables)
        for table in without_cells(tables, names).values():
            assert not set(table["cell"].to_pylist()) & {None, *names}
        for row in without_cells(tables, names)["results"].to_pylist():
            json.loads(row["settings"])
            assert all(isinstance(value, int | float) for value in json.loads(row["pass_at"]).values())

    holds(number, st.fixed_dictionaries(rows), check)


@examples(60, 2_000)
def test_any_bytes_of_a_text_column_are_rows_or_named(number: int) -> None:
    def check(cells: list[bytes]) -> None:
        binary = pa.array(cells, pa.binary())
        text = pa.Array.from_buffers(pa.string(), len(cells), binary.buffers())
        rows = list(python_rows(pa.table({"text": text, "n": list(range(len(cells)))})))
        assert len(rows) == len(cells)
        for row, content in zip(rows, cells, strict=True):
            assert isinstance(row, ValueError) or row["text"].encode() == content

    holds(number, st.lists(st.binary(max_size=8), min_size=1, max_size=5), check)
