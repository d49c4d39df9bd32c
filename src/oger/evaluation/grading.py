"""Verdicts on stored responses, and the check before anything is drawn that verdicts can be had."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from oger.endpoint.reply import ended
from oger.evaluation.backends.base import Generated
from oger.evaluation.job import Job, OutcomeReward
from oger.evaluation.problems import Problem, Prompt
from oger.evaluation.store import StoredResponse
from oger.evaluation.summary import Graded
from oger.verification import probe_rows, verify_many
from oger.verification.question import with_question


def probe_jobs(jobs: Iterable[Job]) -> None:
    """A known-correct and a known-wrong answer of every kind take the whole path of the verdicts, by each job's rules.

    Raises:
        VerifierError: one came out otherwise, so verdicts on hours of generation would mean nothing.
        ValueError: a kind without a probe of its own whose gold answer it cannot read.
    """
    different = {(job.name, job.rules): job for job in jobs}
    for job in different.values():
        rows = [{"kind": entry.kind, "answer": entry.answer, "metadata": entry.metadata} for entry in job.problems]
        probe_rows(rows, rules=job.rules, kinds={row["kind"] for row in rows})  # checked where they were loaded


def settled(row: Mapping[str, Any], unfinished: str) -> dict[str, Any]:
    """A row of responses.parquet with the status that its way of ending leaves to its text's verdict.

    Args:
        unfinished: one of `job.UNFINISHED`.
    """
    status = row["status"]
    if unfinished == "wrong" and status == "correct" and not ended(row["finish_reason"]):
        status = "unfinished"
    if unfinished == "graded" and status == "unfinished":
        status = "correct"
    return {**row, "status": status}


def graded_rows(job: Job, responses: Sequence[StoredResponse]) -> list[dict[str, Any]]:
    """Rows of responses.parquet. A decided verdict on the same answer stays; `--regrade` is there to renew it."""
    problems = {problem.id: problem for problem in job.problems}
    rows = []
    for response in responses:
        problem = problems[response.generated.problem]
        rows.append(
            {
                **asdict(response.generated),
                "prompt": json.dumps(job.policy.form.prompt(problem), ensure_ascii=False),
                "answer": problem.answer,
                "kind": problem.kind,
                "metadata": None if problem.metadata is None else json.dumps(problem.metadata),
                "rules": ",".join(job.rules),
                "asked": response.asked,
                "groups": json.dumps(dict(problem.groups)),
            }
        )
    known = [_known_verdict(row, response) for row, response in zip(rows, responses, strict=True)]
    fresh = iter(verdicts([row for row, verdict in zip(rows, known, strict=True) if verdict is None]))
    graded = [{**row, **(verdict or next(fresh))} for row, verdict in zip(rows, known, strict=True)]
    return [settled(row, job.unfinished) for row in graded]


def _known_verdict(row: Mapping[str, Any], response: StoredResponse) -> dict[str, Any] | None:
    before = response.graded
    same = before is not None and all(before[name] == row[name] for name in ("answer", "kind", "metadata", "rules"))
    if before is None or not same or before["status"] == "undecided":
        return None
    return {name: before[name] for name in ("extracted", "status", "reason")}


def verdicts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Columns extracted, status and reason of rows of responses.parquet; each is graded by its own rules."""
    found: list[dict[str, Any]] = [{} for _ in rows]
    for rules in dict.fromkeys(row["rules"] for row in rows):
        places = [place for place, row in enumerate(rows) if row["rules"] == rules]
        chosen = [rows[place] for place in places]
        graded = verify_many(
            [row["answer"] for row in chosen],
            [row["text"] for row in chosen],
            kind=[row["kind"] for row in chosen],
            metadata=[with_question(row["kind"], _json(row["metadata"]), _json(row["prompt"])) for row in chosen],
            rules=rules.split(","),
        )
        for place, verdict in zip(places, graded, strict=True):
            found[place] = {"extracted": verdict.extracted, "status": verdict.status, "reason": verdict.reason}
    return found


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def rewarded(reward: OutcomeReward, problems: Sequence[Problem], drawn: Sequence[Generated]) -> tuple[Graded, ...]:
    """Verdicts of a run's reward function: 1 or more is correct, None or NaN undecided."""
    rows = {problem.id: problem.row for problem in problems}
    columns = {column for row in rows.values() for column in row} - {"prompt", "completion", "teachers"}
    rewards = reward(
        prompts=[rows[each.problem]["prompt"] for each in drawn],
        completions=[_completion(rows[each.problem]["prompt"], each.text) for each in drawn],
        **{column: [rows[each.problem].get(column) for each in drawn] for column in columns},
    )
    return tuple(
        Graded(each.problem, each.sample, each.text, each.num_tokens, each.finish_reason, None, _status(value))
        for each, value in zip(drawn, rewards, strict=True)
    )


def _status(reward: float | None) -> str:
    if reward is None or math.isnan(reward):
        return "undecided"
    return "correct" if reward >= 1.0 else "wrong"


def _completion(prompt: Prompt, text: str) -> str | list[dict[str, str]]:
    """The completion in the form of its prompt, as TRL hands it to a reward function."""
    return text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
