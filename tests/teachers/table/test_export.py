"""What is exported can be read back, by us and by the trainer."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from oger.teachers.table.column import normalise_teachers
from oger.teachers.table.export import export_table
from oger.teachers.table.turn import PolicyTurn, plain_turn
from tests.support.chat import POLICIES
from tests.support.planted import plain_row, read_table, run, write_jsonl
from tests.support.tiny import tiny_tokenizer


@pytest.fixture(scope="module", params=["text", "chat"])
def curated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two prompts with two teachers, one with none."""
    folder = tmp_path_factory.mktemp("curated")
    chat = request.param == "chat"
    rows = []
    for number in range(3):
        prompt = f"{number}+1=?"
        for teacher, box in (("alpha", number + 1), ("beta", number + 1)):
            text = f"{teacher * 3} {number} \\boxed{{{box if number else 9}}}"
            rows.append(plain_row(prompt, str(number + 1), text, teacher, metadata={"number": number}))
            if chat:
                rows[-1]["prompt"] = [{"role": "system", "content": "Think."}, {"role": "user", "content": prompt}]
    run(folder / "out", f"mine=plain:{write_jsonl(folder / 'data.jsonl', rows)}")
    return folder / "out"


def turn_after(dataset: Dataset) -> PolicyTurn:
    """The turn of a policy that reads prompts such as these."""
    return plain_turn(tiny_tokenizer()) if isinstance(dataset[0]["prompt"], str) else POLICIES["chatml"].turn()


def test_luffys_layout_is_read_back_by_our_own(curated: Path, tmp_path: Path) -> None:
    table = read_table(curated)
    assert export_table(curated / "table.parquet", "luffy", tmp_path / "luffy.parquet") == 2
    assert set(pq.read_schema(tmp_path / "luffy.parquet").names) == {
        *("data_source", "prompt", "target", "ability", "reward_model", "extra_info", "target_lst")
    }
    run(tmp_path / "again", f"luffy=luffy:{tmp_path / 'luffy.parquet'}", per_teacher=9)
    again = read_table(tmp_path / "again")
    assert [row["prompt_id"] for row in again] == [row["prompt_id"] for row in table if row["teachers"]]
    for row, before in zip(again, (row for row in table if row["teachers"]), strict=True):
        assert row["answer"] == before["answer"]
        assert [t["text"] for t in row["teachers"]] == [t["text"] for t in before["teachers"]]


def test_the_trl_data_set_is_a_training_set(curated: Path, tmp_path: Path) -> None:
    assert export_table(curated / "table.parquet", "trl", tmp_path / "trl.parquet") == 3
    dataset = Dataset.from_parquet(str(tmp_path / "trl.parquet"), cache_dir=str(tmp_path / "cache"))
    assert dataset.column_names == ["prompt", "answer", "kind", "metadata", "teachers"]
    assert json.loads(dataset[1]["metadata"]) == {"number": 1}
    normalised, counts = normalise_teachers(dataset, turn_after(dataset), max_tokens=500)
    assert (counts.seen, counts.kept, counts.prompts_without_teacher) == (4, 4, 1)
    assert counts.kept_by_teacher == {"alpha": 2, "beta": 2}
    assert [t["verdict"] for t in normalised[1]["teachers"]] == [1.0, 1.0]


def test_the_table_itself_is_a_training_source(curated: Path) -> None:
    rows = read_table(curated)
    dataset = Dataset.from_list(rows)
    normalised, counts = normalise_teachers(dataset, turn_after(dataset), max_tokens=500)
    assert (counts.seen, counts.kept) == (4, 4)
    assert [t["text"] for t in normalised[2]["teachers"]] == [t["text"] for t in rows[2]["teachers"]]


def test_sft_has_one_row_per_trajectory(curated: Path, tmp_path: Path) -> None:
    assert export_table(curated / "table.parquet", "sft", tmp_path / "sft.parquet") == 4
    first = pq.read_table(tmp_path / "sft.parquet").to_pylist()[0]
    trajectory = read_table(curated)[1]["teachers"][0]["text"]
    text = isinstance(first["prompt"], str)
    assert first["completion"] == (trajectory if text else [{"role": "assistant", "content": trajectory}])


def test_nothing_is_overwritten_and_wrong_names_are_said(curated: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.parquet").write_text("mine")
    with pytest.raises(FileExistsError, match="name another file"):
        export_table(curated / "table.parquet", "trl", tmp_path / "taken.parquet")
    with pytest.raises(ValueError, match="did you mean 'luffy'"):
        export_table(curated / "table.parquet", "lufy", tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="an export is a"):
        export_table(curated / "table.parquet", "trl", tmp_path / "x.jsonl")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        export_table(curated / "table.parquet", "trl", tmp_path / "no" / "x.parquet")
    assert (tmp_path / "taken.parquet").read_text() == "mine"
