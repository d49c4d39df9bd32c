"""Sources of rows and the errors of unusable ones."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oger.io import rows as rows_module
from oger.io.rows import SourceError, file_chunks, load_rows, read_registered, stream_from_hub, world_name

ROWS = [{"prompt": f"{n}+1=?", "answer": str(n + 1)} for n in range(5)]


@pytest.fixture
def jsonl(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    return path


def test_jsonl_and_parquet_give_the_same_rows(jsonl, tmp_path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    assert load_rows(str(jsonl)) == load_rows(str(tmp_path / "rows.parquet")) == ROWS


def test_a_limit_takes_the_first_rows(jsonl) -> None:
    assert load_rows(str(jsonl), 2) == ROWS[:2]
    assert load_rows(str(jsonl), 99) == ROWS
    with pytest.raises(SourceError, match="at least 1"):
        load_rows(str(jsonl), 0)


def test_a_split_of_a_world() -> None:
    rows = load_rows("world:arithmetic/test", 3)
    assert len(rows) == 3
    assert {"prompt", "answer", "teachers"} <= set(rows[0])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.jsonl", "missing.jsonl does not exist"),
        ("rows.csv", "must be one of .jsonl, .parquet"),
        ("world:arithmetic", "write world:NAME/SPLIT"),
        ("arithmetic", "is no source of rows"),
        ("./folder/rows", "is no source of rows"),
    ],
)
def test_what_is_no_source_is_refused(source: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        load_rows(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_world_or_split_is_refused() -> None:
    with pytest.raises(ValueError, match="arithmetic"):
        load_rows("world:arithmetics/test")
    with pytest.raises(ValueError, match="test"):
        load_rows("world:arithmetic/tset")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b'{"prompt": 1}\n{"prompt"\n', "line 2 is not JSON"),
        (b"[1]\n", "line 1 is JSON, but list, not an object"),
        (b"\xff\xfe\n", "not UTF-8"),
    ],
)
def test_a_broken_jsonl_file_is_named_with_its_line(tmp_path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        load_rows(str(path))


def test_a_broken_parquet_file_is_named(tmp_path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(SourceError, match="not a readable Parquet file"):
        load_rows(str(path))


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("owner/name", ("owner/name", None, "train")),
        ("owner/name:test", ("owner/name", None, "test")),
        ("owner/name/main:test[:10]", ("owner/name", "main", "test[:10]")),
    ],
)
def test_a_hub_source_names_dataset_config_and_split(monkeypatch, source: str, asked: tuple) -> None:
    import datasets

    seen = []

    def load_dataset(name, config, *, split):
        seen.append((name, config, split))
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert load_rows(source, 2) == ROWS[:2]
    assert seen == [asked]


def test_a_hub_that_cannot_be_reached_is_one_clear_error(monkeypatch) -> None:
    import datasets

    def load_dataset(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(SourceError, match="cannot load owner/name from the hub: ConnectionError: no network"):
        load_rows("owner/name")


def test_the_world_of_a_source() -> None:
    assert world_name("world:arithmetic/test") == world_name("world:arithmetic") == "arithmetic"
    assert world_name("data.jsonl") is None


def test_a_file_has_the_same_rows_whole_and_in_chunks(tmp_path) -> None:
    many = [{"number": n, "text": "x" * (n % 7)} for n in range(700)]
    (tmp_path / "rows.jsonl").write_text("\n\n".join(map(json.dumps, many)))
    pq.write_table(pa.Table.from_pylist(many), tmp_path / "rows.parquet", row_group_size=300)
    for name, sizes in (("rows.jsonl", [256, 256, 188]), ("rows.parquet", [256, 44, 256, 44, 100])):
        chunks = list(file_chunks(tmp_path / name))
        assert [chunk.num_rows for chunk in chunks] == sizes
        assert [chunk.first_row for chunk in chunks] == [sum(sizes[:place]) for place in range(len(sizes))]
        assert [row for chunk in chunks for row in chunk.rows()] == load_rows(str(tmp_path / name)) == many
    [first, *_] = file_chunks(tmp_path / "rows.parquet", {"number"})
    assert next(first.rows()) == {"number": 0}


def test_a_damaged_part_is_an_error_of_the_whole_and_rows_of_its_chunk(tmp_path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2, compression="none", use_dictionary=False)
    start = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    found = [row for chunk in file_chunks(path) for row in chunk.rows()]
    assert [isinstance(row, ValueError) for row in found] == [False, False, True, True, False]
    with pytest.raises(SourceError, match=r"rows\.parquet is not a readable Parquet file: row group 1 cannot be read"):
        load_rows(str(path))


def test_another_room_reads_the_sources_of_its_prefix(tmp_path, monkeypatch) -> None:
    (tmp_path / "reader.py").write_text(
        "def read(source, *, limit, raw):\n    return ({'source': source, 'raw': raw} for _ in range(limit or 3))\n"
    )
    monkeypatch.setitem(rows_module.READERS, "toy:", f"{tmp_path / 'reader.py'}:read")
    assert load_rows("toy:a/b") == [{"source": "a/b", "raw": False}] * 3
    assert load_rows("toy:", 1) == [{"source": "", "raw": False}]
    assert next(read_registered("toy:x", raw=True)) == {"source": "x", "raw": True}


def broken_text(path, content: bytes) -> None:
    """A Parquet file of three rows, the second text of which is `content`."""
    values = pa.array([b"needle", content, b"third"]).view(pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 3, values.buffers())
    pq.write_table(pa.table({"prompt": texts, "answer": ["1", "2", "3"]}), path)


def test_a_text_that_is_no_utf_8_names_its_file_row_and_column(tmp_path) -> None:
    path = tmp_path / "rows.parquet"
    broken_text(path, b"\xff\xfe")
    with pytest.raises(SourceError, match=r"rows\.parquet row 1 is no row that can be read: column 'prompt'"):
        load_rows(str(path))
    kinds = [type(row) for chunk in file_chunks(path) for row in chunk.rows()]
    assert kinds == [dict, ValueError, dict]


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("us"),
        pa.timestamp("s"),
        pa.timestamp("us", tz="UTC"),
        pa.date64(),
        pa.duration("us"),
        pa.time64("us"),
    ],
    ids=str,
)
@pytest.mark.parametrize("number", [2**62, -(2**62), 2**63 - 1])
def test_a_time_outside_the_calendar_costs_its_own_row(tmp_path, kind: pa.DataType, number: int) -> None:
    path = tmp_path / "rows.parquet"
    times = pa.array([0, number, None], pa.int64()).view(kind)
    try:
        pq.write_table(pa.table({"prompt": ["a", "b", "c"], "when": times}), path)
    except pa.ArrowInvalid:
        pytest.skip("Parquet cannot hold it")
    rows = [row for chunk in file_chunks(path) for row in chunk.rows()]
    assert [isinstance(row, dict) for row in rows][::2] == [True, True]
    if isinstance(rows[1], ValueError):
        assert "column 'when'" in str(rows[1])
        with pytest.raises(SourceError, match=r"rows\.parquet row 1 is no row that can be read"):
            load_rows(str(path))


@pytest.mark.parametrize("source", ["owner/name/train.parquet", "hub:owner/name", "streamed"])
def test_narrow_floats_are_their_own_digits_wherever_rows_come_from(tmp_path, monkeypatch, source: str) -> None:
    """`datasets` reads a folder OWNER/NAME of the working directory as it reads one of the hub."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    narrow = pa.float32()
    columns = {
        "answer": pa.array([0.1, None, 2.5] * 20, narrow),
        "several": pa.array([[0.1, None], [], None] * 20, pa.list_(narrow)),
        "deep": pa.array([[{"a": 0.3, "b": "x"}], None, []] * 20, pa.list_(pa.struct({"a": narrow, "b": pa.string()}))),
        "wide": pa.array([0.1, 0.2, 0.3] * 20),
    }
    pq.write_table(pa.table(columns), tmp_path / "owner" / "name" / "train.parquet", row_group_size=25)
    if source == "streamed":
        names, rows = stream_from_hub("hub:owner/name")
        assert names == list(columns)
        found = list(rows)
    else:
        found = load_rows(source)
    expected = [
        {"answer": 0.1, "several": [0.1, None], "deep": [{"a": 0.3, "b": "x"}], "wide": 0.1},
        {"answer": None, "several": [], "deep": None, "wide": 0.2},
        {"answer": 2.5, "several": None, "deep": [], "wide": 0.3},
    ]
    assert found == expected * 20


def test_a_streamed_row_that_python_cannot_hold_is_named_and_the_others_are_read(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    times = pa.array([0, 4 * 10**14, 1], pa.timestamp("ms"))
    pq.write_table(pa.table({"a": [1, 2, 3], "at": times}), tmp_path / "owner" / "name" / "train.parquet")
    rows = list(stream_from_hub("hub:owner/name")[1])
    assert [row["a"] for row in rows if isinstance(row, dict)] == [1, 3]
    assert "column 'at'" in str(rows[1])
