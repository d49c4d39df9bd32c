"""The stages that look at one trajectory at a time: parse, normalise, verify, length.

A batch of source rows goes in; every trajectory comes out once, either passed on or set aside with a reason.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from oger.io.rows import Chunk
from oger.teachers.curate.chunks import SourceFile
from oger.teachers.curate.clean import DroppedError, clean_gold, clean_metadata, clean_prompt, clean_text, is_unicode
from oger.teachers.curate.decontaminate import EvaluationPrompts
from oger.teachers.curate.layouts import load_layout
from oger.teachers.curate.options import CurateOptions
from oger.teachers.curate.records import BadRowError, Counts, Draft, Entry, Place, PromptRow, Trajectory, reject_line
from oger.teachers.table.schema import prompt_id
from oger.teachers.table.tokens import TokenCounter
from oger.verification import verify_many
from oger.verification.kinds import check_kinds_of_rows, load_kind
from oger.verification.question import with_question
from oger.verification.verdict import Verdict

_Gold = tuple[str | None, str | None, str | None]
"""Answer, kind and metadata."""


@dataclass
class Checked:
    """What became of a batch of source rows."""

    prompts: list[PromptRow] = field(default_factory=list)
    passed: list[Trajectory] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    """Lines of rejects.jsonl."""
    counts: Counts = field(default_factory=Counts)


class Checker:
    """Checks batches of source rows by the options of a curation.

    Args:
        evaluation: prompts to keep out.
        workers: processes of the verifier.
    """

    def __init__(
        self, options: CurateOptions, counter: TokenCounter, evaluation: EvaluationPrompts, *, workers: int | None
    ) -> None:
        self.options = options
        self._count_tokens = counter
        self._evaluation = evaluation
        self._workers = workers
        self._kind_problem = cache(lambda kind: _kind_problem(kind, options.kind))

    def check(self, file: SourceFile, chunk: Chunk, first_seq: int) -> Checked:
        """Take every row of a chunk through the stages; `first_seq` is the position of the first row."""
        result = Checked()
        self._parse(file, chunk, first_seq, result)
        for stage in (self._normalise, self._verify, self._length):
            cases, result.passed = result.passed, []
            stage(cases, result)
        return result

    def regrade(self, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """Verifies texts against another gold answer (see `merge.Regrade`)."""
        golds = [(row["answer"], row["kind"], row["metadata"]) for row in rows]
        prompts = [json.loads(row["prompt"]) for row in rows]
        verdicts = self._verdicts(golds, [row["text"] for row in rows], self.options.rules, prompts)
        return [
            None if verdict.status == "correct" else f"{verdict.status} against the prompt's gold {answer!r}"
            for (answer, _, _), verdict in zip(golds, verdicts, strict=True)
        ]

    def _parse(self, file: SourceFile, chunk: Chunk, seq: int, result: Checked) -> None:
        source = self.options.sources[file.source]
        layout = load_layout(source.layout)
        for number, row in enumerate(chunk.rows(), start=chunk.first_row):
            place = Place(source.name, file.label, number)
            result.counts.rows[source.name] += 1
            try:
                if isinstance(row, ValueError):
                    raise BadRowError(str(row))
                entry = layout.read(row, source.columns)
            except BadRowError as error:
                result.rejects.append(reject_line(place, "row", "broken row", str(error), row))
                seq += 1
                continue
            self._parse_entry(entry, place, seq, result)
            seq += 1 + len(entry.drafts)

    def _parse_entry(self, entry: Entry, place: Place, seq: int, result: Checked) -> None:
        prompt, problem = self._prompt_row(entry, place, seq)
        if prompt is None:
            result.rejects.append(reject_line(place, "row", "bad prompt", problem, entry.prompt))
        else:
            result.prompts.append(prompt)
            if not entry.drafts:
                result.counts.rows_without_trajectory[place.origin] += 1
        for number, draft in enumerate(entry.drafts, start=seq + 1):
            teacher = place.origin if draft.teacher is None else draft.teacher
            good_name = isinstance(teacher, str) and is_unicode(teacher) and teacher.strip()
            trajectory = Trajectory(
                seq=number,
                origin=place.origin,
                file=place.file,
                row=place.row,
                prompt_id=prompt.prompt_id if prompt else "",
                answer=prompt.answer or "" if prompt else "",
                kind=prompt.kind or "" if prompt else "",
                # One teacher, however its name was typed.
                teacher=" ".join(unicodedata.normalize("NFC", teacher).split()) if good_name else place.origin,
                text=draft.text,
                source=f"{place.origin}/{draft.note}" if draft.note else place.origin,
                claim=draft.claim,
                beginning=draft.text,
            )
            result.counts.seen[trajectory.teacher] += 1
            if not good_name:
                dropped = "bad teacher", f"{teacher!r} is no name of a teacher"
            elif prompt is None:
                dropped = "bad prompt", problem
            elif (defect := _defect(draft)) is not None:
                dropped = defect
            elif prompt.gold_problem is not None:
                dropped = prompt.gold_problem, problem
            else:
                result.passed.append(trajectory)
                continue
            result.rejects.append(trajectory.rejected(*dropped))

    def _prompt_row(self, entry: Entry, place: Place, seq: int) -> tuple[PromptRow | None, str]:
        """The row of a prompt and what is wrong with its gold; None and why, if there is no readable prompt."""
        try:
            prompt = clean_prompt(entry.prompt)
        except BadRowError as error:
            return None, str(error)
        answer = kind = metadata = problem = None
        detail = ""
        try:
            answer = clean_gold(entry.answer)
            kind = self._kind(entry.kind)
            metadata = clean_metadata(entry.metadata)
            if entry.gold_problem is not None:
                raise DroppedError("unreadable gold", entry.gold_problem)
        except DroppedError as drop:
            problem, detail = drop.reason, str(drop)
        row = PromptRow(
            seq=seq,
            origin=place.origin,
            file=place.file,
            row=place.row,
            prompt_id=prompt_id(prompt),
            prompt=json.dumps(prompt, ensure_ascii=False),
            chat=not isinstance(prompt, str),
            answer=answer,
            kind=kind,
            metadata=metadata,
            gold_problem=problem,
            contaminated=self._evaluation.holds(prompt),
        )
        return row, detail

    def _kind(self, value: Any) -> str:
        kind = self.options.kind if value is None else value
        if not isinstance(kind, str):
            raise DroppedError("unknown kind", f"{kind!r} is no name of a kind")
        if problem := self._kind_problem(kind):
            raise DroppedError("unknown kind", problem)
        return kind

    def _normalise(self, cases: Sequence[Trajectory], result: Checked) -> None:
        """Unicode's form C, line ends as \\n, no white space around."""
        for case in cases:
            if not isinstance(case.text, str):
                result.rejects.append(case.rejected("bad text", f"{type(case.text).__name__}, not a text"))
            elif not is_unicode(case.text):
                result.rejects.append(case.rejected("bad text", "not Unicode text"))
            else:
                case.text = clean_text(case.text).strip()
                result.passed.append(case)

    def _verify(self, cases: Sequence[Trajectory], result: Checked) -> None:
        """Keep what the verifier finds correct; a gold that it cannot read is found out before it judges anyone."""
        prompts = {prompt.row: prompt for prompt in result.prompts}
        verdicts = {
            case.seq: Verdict("correct" if case.claim else "wrong", None, "its source says so")
            for case in cases
            if self.options.trust_claims and case.claim is not None
        }
        asked = [case for case in cases if case.seq not in verdicts]
        answers = self._verdicts(
            [prompts[c.row].gold for c in asked],
            [c.text for c in asked],
            self.options.rules,
            [json.loads(prompts[c.row].prompt) for c in asked],
        )
        verdicts |= {case.seq: verdict for case, verdict in zip(asked, answers, strict=True)}
        self._check_golds({case.row for case in cases if _reads_gold(verdicts[case.seq])}, result)
        for case in cases:
            verdict, gold_problem = verdicts[case.seq], prompts[case.row].gold_problem
            if gold_problem is not None:
                result.rejects.append(case.rejected(gold_problem, "the verifier cannot read the gold answer"))
                continue
            found = result.counts.verdicts[case.teacher]
            found[verdict.status] += 1
            if verdict.overruled:
                found["overruled"] += 1
            if case.claim is not None:
                result.counts.claims[case.teacher][f"{'correct' if case.claim else 'wrong'}/{verdict.status}"] += 1
            if verdict.status == "correct":
                result.passed.append(case)
            else:
                result.rejects.append(case.rejected(verdict.status, verdict.reason))

    def _check_golds(self, readable: set[int], result: Checked) -> None:
        """Mark the golds that the verifier cannot read: not even its kind's own probe answers are decided against them.

        Rows whose gold is known to be `readable`, since it judged a trajectory, are not asked again.
        """
        asked = [
            (prompt, f"\\boxed{{{answer}}}")
            for prompt in result.prompts
            if prompt.gold_problem is None and prompt.row not in readable
            for answer in (load_kind(prompt.kind or "").probe or ())[1:3]
            if answer.strip() != prompt.answer
        ]
        verdicts = self._verdicts([prompt.gold for prompt, _ in asked], [text for _, text in asked], ("last_boxed",))
        decided = {prompt.row for (prompt, _), v in zip(asked, verdicts, strict=True) if v.status != "undecided"}
        for prompt, _ in asked:
            if prompt.row not in decided:
                prompt.gold_problem = "unreadable gold"

    def _verdicts(
        self, golds: Sequence[_Gold], texts: Sequence[str], rules: Sequence[str], prompts: Sequence[Any] = ()
    ) -> list[Verdict]:
        if not texts:
            return []
        kinds = [kind or self.options.kind for _, kind, _ in golds]
        entries = [None if metadata is None else json.loads(metadata) for _, _, metadata in golds]
        if prompts:
            entries = [with_question(*row) for row in zip(kinds, entries, prompts, strict=True)]
        return verify_many(
            [answer or "" for answer, _, _ in golds],
            texts,
            kind=kinds,
            metadata=entries,
            rules=rules,
            timeout_s=self.options.timeout_s,
            workers=self._workers,
        )

    def _length(self, cases: Sequence[Trajectory], result: Checked) -> None:
        limit = self.options.max_tokens
        for case, num_tokens in zip(cases, self._count_tokens([case.text for case in cases]), strict=True):
            result.counts.tokens_verified[case.teacher] += num_tokens
            if num_tokens > limit:
                result.rejects.append(case.rejected("too long", f"{num_tokens} tokens, the limit is {limit}"))
            else:
                case.num_tokens = num_tokens
                case.text_hash = hashlib.blake2b(case.text.encode(), digest_size=16).hexdigest()
                result.passed.append(case)


def _kind_problem(kind: str, known: str) -> str:
    try:
        check_kinds_of_rows([kind], [known])
        load_kind(kind)
    except ValueError as error:
        return str(error)
    return ""


def _defect(draft: Draft) -> tuple[str, str] | None:
    if draft.text is None:
        return "no text", "null"
    if draft.truncated:
        return "truncated", "its source says that it was cut"
    return ("no text", "empty") if isinstance(draft.text, str) and not draft.text.strip() else None


def _reads_gold(verdict: Verdict) -> bool:
    return verdict.status == "correct" or (verdict.status == "wrong" and verdict.extracted is not None)
