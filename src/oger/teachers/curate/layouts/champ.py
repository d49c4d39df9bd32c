r"""CHAMP (package `champ-dataset`, MIT): 270 competition problems, 72 solutions to each by four models.

Mao, Kim and Zhou, "CHAMP: A Competition-level Dataset for Fine-Grained Analyses of LLMs' Mathematical Reasoning
Capabilities", Findings of ACL 2024, arXiv 2401.06961. Each solution is a conversation whose last two answers of the
model are the solution and its summary in one sentence.

The models were never asked for a box, so the layout adds one: a trajectory is the solution, the summary, and
\boxed{the last number of the summary}. 85 problems have a plain number as their answer; the other golds are prose or
formulas for a human reader ("100 (i.e., all values)"), against which no sentence can be verified. Each model solved
each problem under 18 conditions (hints, concepts, parts of the solution): the condition is kept in `source`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from oger.io.rows import SourceError
from oger.teachers.curate.layouts.layout import Layout, listed, mapping
from oger.teachers.curate.records import Draft, Entry

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
_PLAIN_NUMBER = re.compile(r"-?\d+(?:/\d+)?")


class ChampLayout(Layout):
    """One problem with its conversations, as `read_corpus` gives it."""

    required = ("problem", "answer", "solutions")

    def parse(self, row: Mapping[str, Any]) -> Entry:
        answer = str(row["answer"]).strip()
        plain = _PLAIN_NUMBER.fullmatch(answer)
        drafts = [self._draft(mapping(cell, "a solution")) for cell in listed(row["solutions"], "solutions")]
        return Entry(
            row["problem"],
            answer,
            drafts=tuple(drafts),
            gold_problem=None if plain else "the gold answer is not a plain number",
        )

    def _draft(self, cell: Mapping[str, Any]) -> Draft:
        solution, summary = cell["solution"], cell["summary"]
        if solution is None or summary is None or cell["cut"]:
            return Draft(solution, cell["teacher"], truncated=True, note=cell["condition"])
        numbers = _NUMBER.findall(summary)
        box = f"\n\n\\boxed{{{numbers[-1].rstrip(',')}}}" if numbers else ""
        return Draft(f"{solution}\n\n{summary}{box}", cell["teacher"], note=cell["condition"])


def read_corpus(source: str, *, limit: int | None, raw: bool) -> Iterator[dict[str, Any]]:
    """What `oger.io.rows` reads as "champ:": the 270 problems of the installed package.

    Raises:
        SourceError: something follows the colon.
        ValueError: the package is not installed.
    """
    if source:
        raise SourceError("the layout champ reads an installed package; write champ: alone")
    try:
        import champ_dataset
    except ImportError as error:
        raise ValueError("the layout champ needs champ-dataset: pip install champ-dataset==1.0.0") from error
    for problem in champ_dataset.load("v0").problems.values():
        solutions = []
        for label, conversation in problem.conversations.items():
            teacher, condition = label.split("|")
            solution, summary = (message for message in conversation.messages[-3::2])
            solutions.append(
                {
                    "teacher": teacher,
                    "condition": condition,
                    "solution": solution.text,
                    "summary": summary.text,
                    "cut": solution.error is not None or summary.error is not None,
                }
            )
        yield {"problem": problem.text, "answer": problem.answer, "solutions": solutions}
