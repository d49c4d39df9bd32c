"""Sources with every defect planted, so that a curation's counts are known before it runs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from oger.teachers.curate.options import CurateOptions, Source, parse_source
from oger.teachers.curate.run import curate

TEACHERS = ("alpha", "beta", "gamma")

GOOD = "kept"
DEFECTS = (
    "bad teacher",
    "no text",
    "truncated",
    "no gold",
    "bad metadata",
    "unknown kind",
    "bad prompt",
    "bad text",
    "unreadable gold",
    "wrong",
    "too long",
    "duplicate",
    "near duplicate",
    "contaminated",
    "surplus",
)
MAX_TOKENS = 30  # words


def options(*sources: str | Source, **changes: Any) -> CurateOptions:
    """A curation that counts words and runs in this process, unless `changes` says otherwise."""
    parsed = tuple(parse_source(source) if isinstance(source, str) else source for source in sources)
    return CurateOptions(**{"sources": parsed, "tokenizer": "words", "workers": 1, **changes})


def plain_row(prompt: str, answer: Any, text: Any, teacher: Any = "alpha", **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "answer": answer, "teacher": teacher, "text": text, **more}


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    """Mappings become JSON; texts stay as they are."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def read_table(out: Path) -> list[dict[str, Any]]:
    from oger.io.rows import load_rows

    return load_rows(str(out / "table.parquet"))


def read_rejects(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]


def prompt_of(number: int) -> str:
    """Fewer than 13 words, none shared with another prompt but the frame."""
    return f"Problem {number}: what is {number} plus {number + 1}?"


def good_text(number: int, style: str) -> str:
    return f"{style} {number} and {number + 1}, read as {number * 7919} then \\boxed{{{2 * number + 1}}}"


def planted(seed: int, num_prompts: int) -> tuple[list[Any], list[dict[str, Any]], dict[str, Counter[str]]]:
    """Rows of a plain source, an evaluation set, and teacher -> outcome -> trajectories.

    Every prompt gets one trajectory per teacher, each good or with one defect of its own; the defects of a prompt (its
    gold, its metadata, ...) are shared by its three.
    """
    rng = Random(seed)
    rows: list[Any] = []
    evaluation: list[dict[str, Any]] = [{"prompt": "An evaluation problem that nobody trains on.", "answer": "1"}]
    expected: dict[str, Counter[str]] = {teacher: Counter() for teacher in TEACHERS}
    for number in range(num_prompts):
        fate = rng.choice(
            [GOOD, GOOD, GOOD, "no gold", "bad metadata", "unknown kind", "unreadable gold", "contaminated"]
        )
        prompt = prompt_of(number)
        row: dict[str, Any] = {"prompt": prompt, "answer": str(2 * number + 1), "kind": "math", "metadata": None}
        if fate == "no gold":
            row["answer"] = rng.choice([None, "", "  ", {"value": 1}, []])
        elif fate == "bad metadata":
            row["metadata"] = "\ud800"
        elif fate == "unknown kind":
            row["kind"] = rng.choice(["maths", "os:system", 3])
        elif fate == "unreadable gold":
            row["answer"] = rng.choice(["???", "\\frac{1"])
        elif fate == "contaminated":
            evaluation.append({"prompt": prompt.upper(), "answer": "1"})
        for teacher in TEACHERS:
            _add_trajectory(rng, rows, row, number, teacher, fate, expected)
    bad = [[1], "", None, [{"role": "user"}], [{"role": "system", "content": "only this"}]]
    for prompt_value in bad:
        rows.append({"prompt": prompt_value, "answer": "1", "teacher": "alpha", "text": "\\boxed{1}"})
        expected["alpha"]["bad prompt"] += 1
    return rows, evaluation, expected


def _add_trajectory(
    rng: Random,
    rows: list[Any],
    row: dict[str, Any],
    number: int,
    teacher: str,
    fate: str,
    expected: dict[str, Counter[str]],
) -> None:
    text = good_text(number, teacher * 3)
    outcome = fate
    more: dict[str, Any] = {}
    choices = ["no text", "truncated"]
    if fate in (GOOD, "contaminated"):
        choices += [GOOD] * 4 + ["bad text", "wrong", "too long", "duplicate", "near duplicate", "surplus"]
    defect = rng.choice(choices) if rng.random() < 0.8 else GOOD
    if defect == "no text":
        more["text"] = rng.choice([None, "", " \n"])
    elif defect == "truncated":
        more = {"text": text, "finish_reason": "length"}
    elif defect == "bad text":
        more["text"] = rng.choice(["\ud800 \\boxed{1}", 17, [text]])
    elif defect == "wrong":
        more["text"] = rng.choice([f"so \\boxed{{{2 * number + 2}}}", "no answer at all"])
    elif defect == "too long":
        more["text"] = "word " * MAX_TOKENS + text
    else:
        rows.append({**row, "teacher": teacher, "text": text})
        expected[teacher][outcome] += 1
        if defect == "duplicate":
            rows.append({**row, "teacher": teacher, "text": f"\r\n{text}  "})
            expected[teacher]["duplicate"] += 1
        elif defect == "near duplicate":
            rows.append({**row, "teacher": teacher, "text": text.replace("then", "than")})
            expected[teacher]["near duplicate"] += 1
        elif defect == "surplus":
            another = f"{teacher * 4}, quite another way: it is \\boxed{{{2 * number + 1}}} ({number})"
            rows.append({**row, "teacher": teacher, "text": another})
            expected[teacher]["surplus" if fate == GOOD else fate] += 1
        return
    rows.append({**row, "teacher": teacher, **({"text": text} | more)})
    expected[teacher][defect] += 1


def run(out: Path, *sources: str | Source, **changes: Any) -> Any:
    return curate(options(*sources, **changes), out)
