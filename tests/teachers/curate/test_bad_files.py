"""What is wholly wrong is one line and exit code 2, before anything is written; what is partly wrong is counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oger.teachers.curate.run import curate
from tests.support.command import Outcome
from tests.support.planted import good_text, options, plain_row, prompt_of, read_rejects, read_table, run, write_jsonl

ROWS = [plain_row(prompt_of(n), str(2 * n + 1), good_text(n, "a")) for n in range(6)]


def _files(folder: Path) -> None:
    write_jsonl(folder / "good.jsonl", ROWS)
    (folder / "text.parquet").write_text("this is no Parquet")
    (folder / "empty.jsonl").write_text("")
    (folder / "prose.jsonl").write_text("once upon a time\n")
    (folder / "other.csv").write_text("prompt,answer\n")
    (folder / "hollow").mkdir()
    (folder / "taken").mkdir()
    write_jsonl(folder / "columns.jsonl", [{"question": "?", "answer": "1", "text": "1"}])
    write_jsonl(folder / "no-text.jsonl", [{"prompt": "?", "answer": "1"}])
    pq.write_table(pa.table({"problem": ["?"], "answer": ["1"], "generation": [["1"]]}), folder / "columns.parquet")


WRONG = [
    (["--source", "a=plain:absent.jsonl"], "there is no file or folder 'absent.jsonl'"),
    (["--source", "a=plain:text.parquet"], "text.parquet is not a readable Parquet file"),
    (["--source", "a=plain:empty.jsonl"], "empty.jsonl holds no JSON object"),
    (["--source", "a=plain:prose.jsonl"], "prose.jsonl holds no JSON object"),
    (["--source", "a=plain:other.csv"], "a file must be one of .jsonl, .parquet"),
    (["--source", "a=plain:hollow"], "the folder hollow holds no .jsonl or .parquet file"),
    (["--source", "a=plain:columns.jsonl"], "no column 'prompt', which the layout 'plain' reads"),
    (["--source", "a=plain:no-text.jsonl"], "no column 'text'"),
    (["--source", "a=openr1:columns.parquet"], "no column 'generations', which the layout 'openr1' reads; nearest is"),
    (["--source", "a=plian:good.jsonl"], "unknown layout 'plian'; did you mean 'plain'?"),
    (["--source", "good.jsonl"], "write NAME=LAYOUT:PATH"),
    (["--source", "a=plain:good.jsonl", "--source", "a=plain:good.jsonl"], "two sources have the same name"),
    (["--source", "a=plain:good.jsonl", "--map", "b.text=c"], "no source is called 'b'"),
    (["--source", "a=plain:good.jsonl", "--map", "a.txt=c"], "unknown field of the layout 'plain' 'txt'"),
    (["--source", "a=plain:good.jsonl", "--map", "a.text=solution"], "no column 'solution'"),
    (["--source", "a=plain:good.jsonl", "--kind", "maths"], "did you mean 'math'?"),
    (["--source", "a=plain:good.jsonl", "--rules", "last_box"], "did you mean 'last_boxed'?"),
    (["--source", "a=plain:good.jsonl", "--order", "longest"], "unknown order 'longest'"),
    (["--source", "a=plain:good.jsonl", "--duplicates", "nowhere"], "unknown scope of duplicates"),
    (["--source", "a=plain:good.jsonl", "--near-duplicates", "2"], "near_duplicates is a similarity"),
    (["--source", "a=plain:good.jsonl", "--max-tokens", "0"], "max_tokens must be at least 1"),
    (["--source", "a=plain:good.jsonl", "--workers", "0"], "at least one worker"),
    (["--source", "a=plain:good.jsonl", "--timeout", "0"], "the timeout must be above 0 s"),
    (["--source", "a=plain:good.jsonl", "--tokenizer", "absent-folder"], "cannot load the tokenizer 'absent-folder'"),
    (["--source", "a=plain:good.jsonl", "--decontaminate", "absent.jsonl"], "absent.jsonl does not exist"),
    (["--source", "a=plain:good.jsonl", "--decontaminate", "no-prompt.jsonl"], "none of the columns prompt, problem"),
    (["--source", "a=world:arithmetic"], "names no split of a world"),
    (["--source", "a=champ:somewhere"], "write champ: alone"),
    (["--source", "a=openr1:hub:nobody/nothing"], "cannot load hub:nobody/nothing from the hub"),
    (["--source", "a=openr1:hub:nobody"], "'hub:nobody' is no source of rows"),
    (["--source", "a=plain:good.jsonl", "--out", "taken"], "taken exists already; name another folder"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_what_is_wholly_wrong_is_one_line_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oger: Callable[..., Outcome], arguments: list[str], message: str
) -> None:
    _files(tmp_path)
    write_jsonl(tmp_path / "no-prompt.jsonl", [{"text": "?"}])
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    defaults = [] if "--out" in arguments else ["--out", "out"]
    defaults += [] if "--tokenizer" in arguments else ["--tokenizer", "words"]
    outcome = oger("teachers", "curate", *arguments, *defaults)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.startswith("error: ")
    assert message in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bad_file_of_a_folder_is_set_aside(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    _files(folder)
    shutil.move(folder / "good.jsonl", folder / "deeper" / "good.jsonl")
    report = run(tmp_path / "out", f"mine=plain:{folder}")
    assert report.prompts_kept == len(ROWS)
    lines = read_rejects(tmp_path / "out")
    assert {line["file"] for line in lines} == {
        *("text.parquet", "empty.jsonl", "prose.jsonl", "columns.jsonl", "no-text.jsonl", "columns.parquet")
    }
    assert {line["reason"] for line in lines} == {"broken row"}
    assert read_table(tmp_path / "out")[0]["teachers"][0]["teacher"] == "alpha"


def test_a_damaged_row_group_is_set_aside_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    pq.write_table(pa.table(columns), path, row_group_size=2, compression="zstd", use_dictionary=False)
    group = pq.read_metadata(path).row_group(1)
    start = group.column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + group.column(0).total_compressed_size] = b"\xff" * group.column(0).total_compressed_size
    path.write_bytes(content)
    report = run(tmp_path / "out", f"mine=plain:{path}")
    assert report.rows == {"mine": 6}
    assert report.rejected_rows == {"broken row": 2}
    assert [row["prompt"] for row in read_table(tmp_path / "out")] == [ROWS[n]["prompt"] for n in (0, 1, 4, 5)]
    assert [(line["row"], line["detail"][:11]) for line in read_rejects(tmp_path / "out")] == [
        (2, "row group 1"),
        (3, "row group 1"),
    ]


def test_a_folder_name_with_wildcards_is_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "a*[1]"
    neighbour = tmp_path / "ab1" / "out.work" / "shards" / "00000000"
    for each in (folder, neighbour):
        each.mkdir(parents=True)
    for name in ("prompts", "passed"):
        (neighbour / f"{name}.parquet").write_text("somebody else's")
    report = run(folder / "out", f"mine=plain:{write_jsonl(folder / 'data.jsonl', ROWS)}")
    assert report.prompts_kept == len(ROWS)


def test_a_source_without_any_usable_row_is_one_line_and_its_reasons_are_kept(
    tmp_path: Path, oger: Callable[..., Outcome]
) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", [plain_row("", "1", "x")])
    outcome = oger(
        "teachers", "curate", "--source", f"a=plain:{data}", "--tokenizer", "words", "--out", tmp_path / "out"
    )
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "no prompt is left for a table (1 bad prompt)" in outcome.err
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out.work" / "result" / "rejects.jsonl").read_text().count(
        "bad prompt"
    ) == 2  # row and trajectory


@pytest.mark.parametrize("prompt", [5, [{"role": "user", "content": None}], [{"role": "user"}], {"a": 1}])
def test_an_evaluation_prompt_that_is_none_is_named(
    tmp_path: Path, oger: Callable[..., Outcome], prompt: object
) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", [plain_row("a?", "1", "\\boxed{1}")])
    held_out = write_jsonl(tmp_path / "held.jsonl", [{"prompt": "fine"}, {"prompt": prompt}])
    outcome = oger(
        "teachers", "curate", "--source", f"a=plain:{data}", "--tokenizer", "words", "--out", tmp_path / "out",
        "--decontaminate", held_out,
    )  # fmt: skip
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "held.jsonl, row 1, 'prompt'" in outcome.err


@pytest.mark.parametrize(
    ("code", "words"), [("def f(", "SyntaxError"), ("1 / 0", "ZeroDivisionError"), ("import nowhere_at_all", "nowhere")]
)
def test_a_kind_in_a_broken_file_is_one_line(
    tmp_path: Path, oger: Callable[..., Outcome], code: str, words: str
) -> None:
    (tmp_path / "kind.py").write_text(code)
    data = write_jsonl(tmp_path / "data.jsonl", [plain_row("a?", "1", "\\boxed{1}")])
    outcome = oger(
        "teachers", "curate", "--source", f"a=plain:{data}", "--tokenizer", "words", "--out", tmp_path / "out",
        "--kind", f"{tmp_path / 'kind.py'}:f",
    )  # fmt: skip
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "cannot be imported" in outcome.err
    assert words in outcome.err


@pytest.mark.parametrize("command", ["show", "validate", "export"])
def test_a_file_that_is_no_table_is_one_line(tmp_path: Path, oger: Callable[..., Outcome], command: str) -> None:
    pq.write_table(pa.table({"prompt": ["?"], "extra": [1]}), tmp_path / "other.parquet")
    more: list[Any] = ["--to", "trl", "--out", tmp_path / "x.parquet"] if command == "export" else []
    for name, message in (("absent.parquet", "there is no table"), ("other.parquet", "is not a teachers table")):
        outcome = oger("teachers", command, tmp_path / name, *more)
        assert outcome.code == 2
        assert outcome.err.count("\n") == 1
        assert message in outcome.err


def test_the_commands_work_on_a_curated_folder(tmp_path: Path, oger: Callable[..., Outcome]) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", ROWS)
    source = ["--source", f"mine=plain:{data}", "--tokenizer", "words", "--out", tmp_path / "out", "--workers", "1"]
    curated = oger("teachers", "curate", *source)
    assert curated.code == 0
    assert "6 prompts, 6 trajectories" in curated.out
    shown = oger("teachers", "show", tmp_path / "out", "--rows", "1")
    assert shown.code == 0
    assert "what is 0 plus 1?" in shown.out
    assert "what is 1 plus 2?" not in shown.out
    assert "6 text prompts, 6 trajectories" in oger("teachers", "validate", tmp_path / "out").out
    assert json.loads((tmp_path / "out" / "card.json").read_text())["report"]["prompts_kept"] == 6


def test_a_time_outside_the_calendar_and_a_text_that_is_no_utf_8_cost_their_own_rows(tmp_path: Path) -> None:
    texts = [good_text(n, "a").encode() for n in range(4)]
    texts[1] = b"\xff\xfe"
    column = pa.Array.from_buffers(pa.string(), 4, pa.array(texts).view(pa.binary()).buffers())
    table = {
        "prompt": [prompt_of(n) for n in range(4)], "answer": [str(2 * n + 1) for n in range(4)],
        "teacher": ["alpha"] * 4, "text": column, "metadata": pa.array([0, 0, 2**62, None], pa.timestamp("us")),
    }  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    report = curate(options(f"mine=plain:{tmp_path / 'rows.parquet'}"), tmp_path / "out")
    assert report.prompts_kept + sum(report.rejected_rows.values()) + sum(report.rejected_prompts.values()) == 4
    details = [
        (line["row"], line["detail"]) for line in read_rejects(tmp_path / "out") if "can be read" in line["detail"]
    ]
    assert [(row, detail.split("'")[1]) for row, detail in details] == [(1, "text"), (2, "metadata")]
    assert {line["file"] for line in read_rejects(tmp_path / "out")} == {str(tmp_path / "rows.parquet")}
