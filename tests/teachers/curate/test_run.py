"""A curation counts every row it read, keeps what is right, and says why it dropped the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from oger.teachers.curate import check
from oger.teachers.curate import run as curate_module
from oger.teachers.curate.counts import ConservationError, Outcome
from oger.teachers.curate.options import Source
from oger.teachers.curate.run import curate_rows
from oger.teachers.table.schema import prompt_id, validate_table
from oger.verification import verify_many
from oger.worlds import load_world
from tests.support.planted import (
    GOOD,
    MAX_TOKENS,
    good_text,
    options,
    plain_row,
    planted,
    prompt_of,
    read_rejects,
    read_table,
    run,
    write_jsonl,
)

EXAMPLES = Path(__file__).parents[3] / "examples" / "teachers"


@pytest.mark.parametrize("seed", range(3))
def test_every_planted_defect_is_counted_under_its_own_reason(tmp_path: Path, seed: int) -> None:
    rows, evaluation, expected = planted(seed, num_prompts=90)
    data = write_jsonl(tmp_path / "data.jsonl", [*rows, "not json", "[1, 2]", json.dumps({"prompt": "no gold column"})])
    held_out = write_jsonl(tmp_path / "evaluation.jsonl", evaluation)
    report = run(tmp_path / "out", f"mine=plain:{data}", max_tokens=MAX_TOKENS, decontaminate=(str(held_out),))

    for teacher, outcomes in expected.items():
        found = {GOOD: report.teachers[teacher].kept, **report.teachers[teacher].dropped}
        assert found == {outcome: count for outcome, count in outcomes.items() if count}, teacher
        assert report.teachers[teacher].seen == outcomes.total()
    assert report.rows == {"mine": len(rows) + 3}
    assert report.rejected_rows == {"broken row": 3, "bad prompt": 5}
    assert report.prompts_seen == 90 == report.prompts_kept + sum(report.rejected_prompts.values())

    rejects = Counter((line["unit"], line["teacher"], line["reason"]) for line in read_rejects(tmp_path / "out"))
    for teacher, outcomes in expected.items():
        for reason, count in outcomes.items():
            assert rejects["trajectory", teacher, reason] == (0 if reason == GOOD else count)
    table = read_table(tmp_path / "out")
    assert len(table) == report.prompts_kept == validate_table(tmp_path / "out" / "table.parquet").rows
    for row in table:
        for trajectory in row["teachers"]:
            assert trajectory["text"].endswith(f"\\boxed{{{row['answer']}}}") or "another way" in trajectory["text"]


def test_the_planted_rows_hold_every_defect_that_a_row_can_have() -> None:
    expected = sum((sum(planted(seed, 90)[2].values(), Counter()) for seed in range(3)), Counter())
    assert set(expected) == {
        *(GOOD, "no text", "truncated", "no gold", "bad metadata", "unknown kind", "bad prompt", "bad text"),
        *("unreadable gold", "wrong", "too long", "duplicate", "near duplicate", "contaminated", "surplus"),
    }


def test_a_rejected_trajectory_can_be_found_in_its_source(tmp_path: Path) -> None:
    rows = [plain_row("1+1=?", "2", "it is \\boxed{2}"), plain_row("1+2=?", "3", "x" * 500 + "\\boxed{4}")]
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    run(tmp_path / "out", f"mine=plain:{data}")
    [line] = read_rejects(tmp_path / "out")
    assert (line["source"], line["file"], line["row"], line["teacher"]) == ("mine", str(data), 1, "alpha")
    assert (line["reason"], line["stage"], line["excerpt"]) == ("wrong", "verify", "x" * 200)
    assert line["prompt_id"] == prompt_id("1+2=?")


def test_a_name_that_is_no_name_is_a_bad_teacher(tmp_path: Path) -> None:
    names: list[Any] = [7, "", ["a"], None]
    rows = [plain_row(prompt_of(n), 2 * n + 1, good_text(n, "a"), name) for n, name in enumerate(names)]
    report = run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', rows)}")
    assert report.teachers["mine"].dropped == {"bad teacher": 3}
    assert report.teachers["mine"].kept == 1  # no name at all: the source's


def test_an_undecided_answer_is_not_a_wrong_one(tmp_path: Path) -> None:
    rows = [
        plain_row("a?", "2", "\\boxed{2}", kind="tests.support.planted_kind:grade_or_raise"),
        plain_row("b?", "2", "\\boxed{raise}"),
        plain_row("c?", "2", "\\boxed{3}"),
    ]
    for row in rows[1:]:
        row["kind"] = None
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    kind = "tests.support.planted_kind:grade_or_raise"
    report = run(tmp_path / "out", f"mine=plain:{data}", kind=kind)
    alpha = report.teachers["alpha"]
    assert alpha.verdicts == {"correct": 1, "wrong": 1, "undecided": 1}
    assert alpha.dropped == {"wrong": 1, "undecided": 1}
    assert alpha.accuracy == 0.5


def test_what_the_prompt_counts_may_stand_behind_a_teachers_number(tmp_path: Path) -> None:
    text = "\\boxed{5 \\text{ wombats}}"
    rows = [plain_row("How many wombats?", "5", text), plain_row("How many?", "5", text)]
    report = run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', rows)}")
    assert report.teachers["alpha"].verdicts == {"correct": 1, "wrong": 1}


def test_a_gold_that_judged_a_trajectory_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counting(golds: Sequence[str], *rest: Any, **named: Any) -> Any:
        asked.extend(golds)
        return verify_many(golds, *rest, **named)

    monkeypatch.setattr(check, "verify_many", counting)
    texts = {"1": "So it is \\boxed{1}.", "2": "So it is \\boxed{-7}.", "3": "no answer"}
    rows = [plain_row(prompt_of(int(gold)), gold, text) for gold, text in texts.items()]
    report = run(tmp_path / "out", f"s=plain:{write_jsonl(tmp_path / 'rows.jsonl', rows)}", workers=1)
    assert report.teachers["alpha"].dropped == {"wrong": 2}
    assert sorted(asked) == ["1", "2", "3", "3", "3"]  # the last one judged nothing: two probes are judged by it


@pytest.mark.parametrize("teachers", range(4))
def test_three_sources_merge_by_prompt(tmp_path: Path, teachers: int) -> None:
    names = ("alpha", "beta", "gamma")
    sources = []
    for position, name in enumerate(names):
        right = position < teachers
        rows = [plain_row("1+1=?", "2", f"{name} says \\boxed{{{2 if right else 3}}}", None)]
        sources.append(f"{name}=plain:{write_jsonl(tmp_path / f'{name}.jsonl', rows)}")
    report = run(tmp_path / "out", *sources)
    [row] = read_table(tmp_path / "out")
    assert [t["teacher"] for t in row["teachers"]] == list(names[:teachers])
    assert [t["source"] for t in row["teachers"]] == list(names[:teachers])
    assert report.prompts_by_teachers == {teachers: 1}


def test_texts_become_chats_where_sources_mix(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "Think."}, {"role": "user", "content": "2+2=?"}]
    rows = [plain_row("1+1=?", "2", "b \\boxed{2}"), {**plain_row("", "4", "a \\boxed{4}"), "prompt": chat}]
    report = run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', rows)}")
    assert [row["prompt"] for row in read_table(tmp_path / "out")] == [[{"role": "user", "content": "1+1=?"}], chat]
    assert validate_table(tmp_path / "out" / "table.parquet").chat
    assert report.prompts_kept == 2


def test_the_first_readable_gold_rules_and_equal_golds_do_not_conflict(tmp_path: Path) -> None:
    rows = [
        plain_row("p?", None, "lost \\boxed{1/2}", "alpha"),
        plain_row("p?", "1/2", "first \\boxed{1/2}", "alpha"),
        plain_row("p?", "0.5", "the same number \\boxed{0.5}", "beta"),
        plain_row("p?", "7", "right for its own source \\boxed{7}", "gamma"),
    ]
    report = run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', rows)}")
    [row] = read_table(tmp_path / "out")
    assert row["answer"] == "1/2"
    assert [t["teacher"] for t in row["teachers"]] == ["alpha", "beta"]
    assert report.teachers["gamma"].dropped == {"conflicting gold": 1}
    assert report.teachers["alpha"].dropped == {"no gold": 1}


def test_a_conflicting_text_does_not_make_its_repetition_a_duplicate(tmp_path: Path) -> None:
    rows = [
        plain_row("p?", "1", "one \\boxed{1}"),
        plain_row("p?", "7", "seven \\boxed{7}", "gamma"),
        plain_row("q?", "7", "seven \\boxed{7}", "gamma"),
    ]
    report = run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', rows)}")
    assert report.teachers["gamma"].dropped == {"conflicting gold": 1}
    assert [len(row["teachers"]) for row in read_table(tmp_path / "out")] == [1, 1]


def test_the_same_text_under_two_prompts_is_a_duplicate_unless_told_otherwise(tmp_path: Path) -> None:
    rows = [plain_row("1+1=?", "2", "\\boxed{2}"), plain_row("0+2=?", "2", "\\boxed{2}")]
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    assert run(tmp_path / "a", f"mine=plain:{data}").teachers["alpha"].dropped == {"duplicate": 1}
    assert run(tmp_path / "b", f"mine=plain:{data}", duplicates="prompt").teachers["alpha"].dropped == {}


def test_near_duplicates_are_dropped_from_the_stated_similarity(tmp_path: Path) -> None:
    texts = ("a" * 50 + " \\boxed{2}", "a" * 49 + "b \\boxed{2}")  # 60 characters each, one deletion, one insertion
    rows = [plain_row("1+1=?", "2", text, teacher) for text, teacher in zip(texts, ("alpha", "beta"), strict=True)]
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    similarity = 1 - 2 / (len(texts[0]) + len(texts[1]))
    close = run(tmp_path / "a", f"mine=plain:{data}", near_duplicates=similarity - 0.001)
    assert close.teachers["beta"].dropped == {"near duplicate": 1}
    apart = run(tmp_path / "b", f"mine=plain:{data}", near_duplicates=similarity + 0.001)
    assert apart.teachers["beta"].dropped == {}


def test_the_length_limit_counts_the_end_of_sequence_by_the_policys_tokenizer(tmp_path: Path) -> None:
    policy = load_world("arithmetic").base_policy()
    text = "1+1=2 \\boxed{2}"
    length = len(AutoTokenizer.from_pretrained(policy)(text)["input_ids"]) + 1
    data = write_jsonl(tmp_path / "data.jsonl", [plain_row("1+1=?", "2", text)])
    for name, limit, kept in (("a", length, 1), ("b", length - 1, 0)):
        report = run(tmp_path / name, f"mine=plain:{data}", tokenizer=str(policy), max_tokens=limit)
        assert report.teachers["alpha"].kept == kept
        assert report.teachers["alpha"].mean_tokens_correct == length
    assert report.teachers["alpha"].dropped == {"too long": 1}


@pytest.mark.parametrize(("order", "kept"), [("first", "longer than"), ("shortest", "short")])
def test_the_order_says_which_trajectory_of_a_teacher_stays(tmp_path: Path, order: str, kept: str) -> None:
    rows = [plain_row("1+1=?", "2", f"{text} \\boxed{{2}}") for text in ("longer than the other one", "short")]
    run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', rows)}", order=order)
    [row] = read_table(tmp_path / "out")
    assert [t["text"].startswith(kept) for t in row["teachers"]] == [True]


def test_a_random_choice_depends_on_the_seed_alone(tmp_path: Path) -> None:
    rows = [plain_row(prompt_of(n), 2 * n + 1, good_text(n, style)) for n in range(20) for style in ("a" * 9, "zz zz")]
    data = write_jsonl(tmp_path / "data.jsonl", rows)

    def chosen(name: str, seed: int) -> list[str]:
        run(tmp_path / name, f"mine=plain:{data}", order="random", seed=seed)
        return [t["text"] for row in read_table(tmp_path / name) for t in row["teachers"]]

    assert chosen("a", 1) == chosen("b", 1) != chosen("c", 2)
    assert len({text[0] for text in chosen("d", 3)}) == 2


def test_prompts_of_an_evaluation_set_are_kept_out(tmp_path: Path) -> None:
    long = "Find the number of ways in which the seven dwarfs can line up before a mirror if Doc never stands last"
    prompts = [f"{long}.", "What is 2 + 2?", "What is 2 - 2?", f"First recall this: {long.upper()}, please!"]
    rows = [plain_row(prompt, "4", f"way {n} \\boxed{{4}}") for n, prompt in enumerate(prompts)]
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    held_out = write_jsonl(tmp_path / "test.jsonl", [{"problem": f"{long}?"}, {"question": "what is 2  + 2"}])
    report = run(tmp_path / "out", f"mine=plain:{data}", decontaminate=(str(held_out),))
    assert [row["prompt"] for row in read_table(tmp_path / "out")] == ["What is 2 - 2?"]
    assert report.teachers["alpha"].dropped == {"contaminated": 3}
    assert report.rejected_prompts == {"contaminated": 3}


def test_the_verifier_decides_unless_claims_are_trusted(tmp_path: Path) -> None:
    rows = [
        plain_row("a?", "2", "a \\boxed{2}", correct=True),
        plain_row("b?", "2", "b \\boxed{3}", correct=True),
        plain_row("c?", "2", "c \\boxed{2}", correct=False),
        plain_row("d?", "2", "d \\boxed{3}"),
    ]
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    checked = run(tmp_path / "a", f"mine=plain:{data}").teachers["alpha"]
    assert (checked.kept, checked.claims) == (2, {"correct/correct": 1, "correct/wrong": 1, "wrong/correct": 1})
    trusted = run(tmp_path / "b", f"mine=plain:{data}", trust_claims=True)
    assert [bool(row["teachers"]) for row in read_table(tmp_path / "b")] == [True, True, False, False]
    assert trusted.teachers["alpha"].dropped == {"wrong": 2}


def test_a_row_cannot_choose_which_code_is_imported(tmp_path: Path) -> None:
    rows = [plain_row("a?", "2", "\\boxed{2}", kind="tests.support.planted_kind:grade_or_raise")]
    rows.append(plain_row("b?", "2", "\\boxed{2}"))
    report = run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', rows)}")
    assert report.teachers["alpha"].dropped == {"unknown kind": 1}


def test_what_was_right_for_other_options_is_judged_by_those_of_the_table(tmp_path: Path) -> None:
    rows = [
        plain_row("Capital of France?", "B", "\\boxed{Paris}", kind="choice", metadata={"options": ["Rome", "Paris"]}),
        plain_row("Capital of France?", "B", "\\boxed{Rome}", kind="choice", metadata={"options": ["Paris", "Rome"]}),
    ]
    report = run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', rows)}", per_teacher=2)
    assert report.teachers["alpha"].dropped == {"conflicting gold": 1}
    [row] = read_table(tmp_path / "out")
    assert [trajectory["text"] for trajectory in row["teachers"]] == ["\\boxed{Paris}"]


def test_another_spelling_of_the_gold_knows_what_the_prompt_counts(tmp_path: Path) -> None:
    rows = [
        plain_row("How many zorks are left?", gold, f"So \\boxed{{15\\text{{ zorks}}}}, {gold}")
        for gold in ("15", "15.0")
    ]
    data = write_jsonl(tmp_path / "data.jsonl", [json.dumps(row) for row in rows])
    report = run(tmp_path / "out", f"mine=plain:{data}")
    assert "conflicting gold" not in report.teachers["alpha"].dropped


@pytest.mark.parametrize("gold", ["NaN", "Infinity"])
def test_a_gold_that_is_no_number_is_missing(tmp_path: Path, gold: str) -> None:
    line = json.dumps(plain_row("a?", "2", "\\boxed{2}")).replace('"2"', gold, 1)
    data = write_jsonl(tmp_path / "data.jsonl", [line, plain_row("b?", "2", "\\boxed{2}")])
    assert run(tmp_path / "out", f"mine=plain:{data}").teachers["alpha"].dropped == {"no gold": 1}


def test_a_teacher_is_one_however_its_name_was_typed(tmp_path: Path) -> None:
    names = ["Ren\u00e9", "Rene\u0301", " Ren\u00e9\n"]
    rows = [plain_row(prompt_of(n), 2 * n + 1, good_text(n, "a"), name) for n, name in enumerate(names)]
    report = run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', rows)}")
    assert {name: teacher.kept for name, teacher in report.teachers.items()} == {"Ren\u00e9": 3}


def test_the_card_says_how_often_the_second_check_overruled(tmp_path: Path) -> None:
    rows = [plain_row("a?", "2\\sqrt{3}", "\\boxed{3.4641016}"), plain_row("b?", "2", "\\boxed{2}")]
    report = run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', rows)}")
    assert report.teachers["alpha"].verdicts == {"correct": 1, "wrong": 1, "overruled": 1}
    assert "overruled math-verify on 1 of 2 verdicts (50.00 %)" in (tmp_path / "out" / "card.md").read_text()


def test_a_prompt_without_a_trajectory_stays_and_is_counted(tmp_path: Path) -> None:
    row = {"prompt": "1+1=?", "answer": "2", "generations": []}
    report = run(tmp_path / "out", f"mine=plain:{write_jsonl(tmp_path / 'data.jsonl', [row])}")
    assert report.rows_without_trajectory == {"mine": 1}
    assert (report.prompts_kept, report.prompts_by_teachers) == (1, {0: 1})


def test_two_workers_make_the_same_bytes_as_one(tmp_path: Path) -> None:
    rows, evaluation, _ = planted(5, num_prompts=300)
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    held_out = write_jsonl(tmp_path / "evaluation.jsonl", evaluation)
    sources = (f"mine=plain:{data}", f"r1=openr1:{EXAMPLES / 'openr1.parquet'}")
    for name, workers in (("one", 1), ("two", 2)):
        run(tmp_path / name, *sources, workers=workers, decontaminate=(str(held_out),))
    for file in ("table.parquet", "rejects.jsonl", "card.json", "card.md"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    assert not list(tmp_path.glob("*.work"))


def test_a_lost_trajectory_fails_the_curation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", [plain_row("1+1=?", "2", "\\boxed{2}"), plain_row("b?", "3", "?")])
    finish = curate_module.finish_group

    def forgetful(group: Any, chosen: Any) -> Any:
        finished = finish(group, chosen)
        finished.kept = []
        return finished

    monkeypatch.setattr(curate_module, "finish_group", forgetful)
    with pytest.raises(ConservationError, match="teacher alpha: 2 trajectories in, 0 kept, 1 dropped"):
        run(tmp_path / "out", f"mine=plain:{data}")
    assert not (tmp_path / "out").exists()


def test_a_reject_that_was_never_read_fails_the_curation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", [plain_row("1+1=?", "2", "\\boxed{2}")])
    add_row = Outcome.add_row
    monkeypatch.setattr(Outcome, "add_row", lambda self, teachers: add_row(self, [*teachers, *teachers]))
    with pytest.raises(ConservationError):
        run(tmp_path / "out", f"mine=plain:{data}")


def test_the_world_passes_through_the_same_stages(tmp_path: Path) -> None:
    world = load_world("arithmetic")
    raw = world.raw_trajectories("validation")
    settings = {"tokenizer": "characters", "duplicates": "prompt"}
    rows, report = curate_rows(raw, options("arithmetic=world:arithmetic/validation", **settings))
    run(tmp_path / "out", "arithmetic=world:arithmetic/validation", **settings)
    on_disk = read_table(tmp_path / "out")
    assert [{name: row[name] for name in on_disk[0]} for row in rows] == on_disk
    assert [row["family"] for row in rows] == [row["family"] for row in raw]
    assert sum(len(row["teachers"]) for row in rows) < sum(len(row["teachers"]) for row in raw)
    card = json.loads((tmp_path / "out" / "card.json").read_text())["report"]["teachers"]
    for name, teacher in report.teachers.items():
        assert {**asdict(teacher), "stages": card[name]["stages"]} == card[name]


def test_a_table_can_be_a_source_again(tmp_path: Path) -> None:
    rows = [plain_row(prompt_of(n), 2 * n + 1, good_text(n, "a")) for n in range(5)]
    other = [plain_row(prompt_of(n), 2 * n + 1, good_text(n, "bbbbbb"), "beta") for n in range(3, 8)]
    run(tmp_path / "first", f"mine=plain:{write_jsonl(tmp_path / 'a.jsonl', rows)}")
    source = f"old=table:{tmp_path / 'first' / 'table.parquet'}"
    report = run(tmp_path / "out", source, f"new=plain:{write_jsonl(tmp_path / 'b.jsonl', other)}")
    assert report.prompts_by_teachers == {1: 6, 2: 2}
    assert read_table(tmp_path / "out")[0]["teachers"][0]["source"] == "old/mine"
    assert report.teachers["alpha"].claims == {"correct/correct": 5}


def test_a_column_map_reads_other_columns(tmp_path: Path) -> None:
    rows = [{"q": "1+1=?", "gold": 2, "solutions": [{"text": "\\boxed{2}", "teacher": "x"}, "so \\boxed{2}"]}]
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    columns = {"prompt": "q", "answer": "gold", "generations": "solutions"}
    report = run(tmp_path / "out", Source("mine", "plain", str(data), columns))
    assert {name: teacher.kept for name, teacher in report.teachers.items()} == {"x": 1, "mine": 1}
