"""The stages that look at one trajectory at a time: parse, normalise, verify, length.

A batch of source rows goes in; every trajectory comes out once, either passed on or set aside with a reason.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from oger.io.rows import Chunk
from oger.teachers.curate.chunks import SourceFile, canonical
from oger.teachers.curate.clean import (
    DroppedError,
    clean_gold,
    clean_metadata,
    clean_prompt,
    clean_text,
    is_unicode,
)
from oger.teachers.curate.decontaminate import EvaluationPrompts
from oger.teachers.curate.layouts import load_layout
from oger.teachers.curate.options import CurateOptions
from oger.teachers.curate.records import (
    BadRowError,
    Counts,
    Draft,
    Entry,
    Place,
    PromptRow,
    Trajectory,
    excerpt,
    reject_line,
)
from oger.teachers.table.schema import prompt_id
from oger.teachers.table.tokens import TokenCounter
from oger.verification import verify_many
from oger.verification.kinds import check_kinds_of_rows, load_kind
from oger.verification.verdict import Verdict


@dataclass
class Checked:
    """What became of a batch of source rows."""

    prompts: list[PromptRow] = field(default_factory=list)
    passed: list[Trajectory] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    """Lines of rejects.jsonl."""
    counts: Counts = field(default_factory=Counts)

    def drop(self, trajectory: Trajectory, reason: str, detail: str) -> None:
        """Set a trajectory aside."""
        self.rejects.append(
            reject_line(
                trajectory,
                "trajectory",
                reason,
                detail,
                trajectory.excerpt,
                teacher=trajectory.teacher,
                prompt_id=trajectory.prompt_id,
            )
        )


class Checker:
    """Checks batches of source rows by the options of a curation.

    Args:
        options: the curation's.
        counter: counts the tokens of texts.
        evaluation: prompts to keep out.
        workers: processes of the verifier.
    """

    def __init__(
        self, options: CurateOptions, counter: TokenCounter, evaluation: EvaluationPrompts, *, workers: int | None
    ) -> None:
        self._options = options
        self._count_tokens = counter
        self._evaluation = evaluation
        self._workers = workers
        self._known_kinds: dict[str, str] = {}  # kind -> what is wrong with it, "" = nothing

    def check(self, file: SourceFile, chunk: Chunk, first_seq: int) -> Checked:
        """Take every row of a chunk through the stages; `first_seq` is the position of the first row."""
        result = Checked()
        self._parse(file, chunk, first_seq, result)
        for stage in (self._normalise, self._verify, self._length):
            stage(result)
        return result

    def _parse(self, file: SourceFile, chunk: Chunk, seq: int, result: Checked) -> None:
        source = self._options.sources[file.source]
        layout = load_layout(source.layout)
        required = [source.columns.get(field, field) for field in layout.required]
        for number, row in enumerate(chunk.rows(), start=chunk.first_row):
            place = Place(source.name, file.label, number)
            result.counts.rows[source.name] += 1
            try:
                if isinstance(row, ValueError):
                    raise BadRowError(str(row))
                missing = [column for column in required if column and column not in row]
                if missing:
                    raise BadRowError(f"no column {missing[0]!r}")
                entry = layout.parse(canonical(row, source))
            except BadRowError as error:
                result.rejects.append(reject_line(place, "row", "broken row", str(error), row))
                seq += 1
                continue
            seq = self._parse_entry(entry, place, seq, result)

    def _parse_entry(self, entry: Entry, place: Place, seq: int, result: Checked) -> int:
        prompt, problem = self._prompt_row(entry, place, seq)
        seq += 1
        if prompt is None:
            result.rejects.append(reject_line(place, "row", "bad prompt", problem, entry.prompt))
        else:
            result.prompts.append(prompt)
            if not entry.drafts:
                result.counts.rows_without_trajectory[place.origin] += 1
        for draft in entry.drafts:
            teacher = place.origin if draft.teacher is None else draft.teacher
            good_name = isinstance(teacher, str) and is_unicode(teacher) and teacher.strip()
            # One teacher, however its name was typed.
            name = " ".join(unicodedata.normalize("NFC", teacher).split()) if good_name else place.origin
            result.counts.seen[name] += 1
            try:
                if not good_name:
                    raise DroppedError("bad teacher", f"{teacher!r} is no name of a teacher")
                if prompt is None:
                    raise DroppedError("bad prompt", problem)
                _require_usable(draft)
                if prompt.gold_problem is not None:
                    raise DroppedError(prompt.gold_problem, problem)
            except DroppedError as drop:
                pid = prompt.prompt_id if prompt is not None else None
                line = reject_line(place, "trajectory", drop.reason, str(drop), draft.text, teacher=name, prompt_id=pid)
                result.rejects.append(line)
            else:
                result.passed.append(_trajectory(seq, name, draft, prompt))
            seq += 1
        return seq

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
        kind = self._options.kind if value is None else value
        if not isinstance(kind, str):
            raise DroppedError("unknown kind", f"{kind!r} is no name of a kind")
        if kind not in self._known_kinds:
            try:
                check_kinds_of_rows([kind], [self._options.kind])
                load_kind(kind)
            except ValueError as error:
                self._known_kinds[kind] = str(error)
            else:
                self._known_kinds[kind] = ""
        if problem := self._known_kinds[kind]:
            raise DroppedError("unknown kind", problem)
        return kind

    def _normalise(self, result: Checked) -> None:
        """Unicode's form C, line ends as \\n, no white space around."""
        cases, result.passed = result.passed, []
        for case in cases:
            if not isinstance(case.text, str) or not is_unicode(case.text):
                kind = type(case.text).__name__
                result.drop(case, "bad text", "not Unicode text" if kind == "str" else f"{kind}, not a text")
                continue
            case.text = clean_text(case.text).strip()
            result.passed.append(case)

    def _verify(self, result: Checked) -> None:
        """Keep what the verifier finds correct; a gold that it cannot read is found out before it judges anyone."""
        trusted = self._options.trust_claims
        prompts = {prompt.row: prompt for prompt in result.prompts}
        cases, result.passed = result.passed, []
        asked = [case for case in cases if not (trusted and case.claim is not None)]
        verdicts = self._verdicts([prompts[case.row] for case in asked], [c.text for c in asked], self._options.rules)
        judged = {case.seq: (verdict.status, verdict.reason) for case, verdict in zip(asked, verdicts, strict=True)}
        overruled = {case.seq for case, verdict in zip(asked, verdicts, strict=True) if verdict.overruled}
        for case in cases:
            if case.seq not in judged:
                judged[case.seq] = ("correct" if case.claim else "wrong", "its source says so")

        read = {case.row for case, verdict in zip(asked, verdicts, strict=True) if _judged_by_gold(verdict)}
        self._check_golds(read | {case.row for case in cases if judged[case.seq][0] == "correct"}, result)
        for case in cases:
            status, why = judged[case.seq]
            gold_problem = prompts[case.row].gold_problem
            if gold_problem is not None:
                result.drop(case, gold_problem, "the verifier cannot read the gold answer")
                continue
            result.counts.verdicts[case.teacher][status] += 1
            if case.seq in overruled:
                result.counts.verdicts[case.teacher]["overruled"] += 1
            if case.claim is not None:
                claim = "correct" if case.claim else "wrong"
                result.counts.claims[case.teacher][f"{claim}/{status}"] += 1
            if status == "correct":
                result.passed.append(case)
            else:
                result.drop(case, status, why)

    def _check_golds(self, readable: set[int], result: Checked) -> None:
        """Mark the golds that the verifier cannot read: not even its kind's own probe answers are decided against them.

        Rows whose gold is known to be `readable`, since it judged a trajectory, are not asked again.
        """
        asked = [
            (row, f"\\boxed{{{answer}}}")
            for row in result.prompts
            if row.gold_problem is None and row.row not in readable
            for answer in self._probe_answers(row.kind or "", row.answer or "")
        ]
        verdicts = self._verdicts([row for row, _ in asked], [text for _, text in asked], ("last_boxed",))
        decided = {row.seq for (row, _), verdict in zip(asked, verdicts, strict=True) if verdict.status != "undecided"}
        for row, _ in asked:
            if row.seq not in decided:
                row.gold_problem = "unreadable gold"

    def _probe_answers(self, kind: str, gold: str) -> list[str]:
        """Answers that the kind can read, other than the gold itself; none for a kind without a probe."""
        probe = load_kind(kind).probe
        return [] if probe is None else [answer for answer in probe[1:3] if answer.strip() != gold]

    def _verdicts(self, prompts: Sequence[PromptRow], texts: Sequence[str], rules: Sequence[str]) -> list[Any]:
        if not texts:
            return []
        return verify_many(
            [row.answer or "" for row in prompts],
            texts,
            kind=[row.kind or "" for row in prompts],
            metadata=[None if row.metadata is None else json.loads(row.metadata) for row in prompts],
            rules=rules,
            timeout_s=self._options.timeout_s,
            workers=self._workers,
        )

    def _length(self, result: Checked) -> None:
        cases, result.passed = result.passed, []
        for case, num_tokens in zip(cases, self._count_tokens([case.text for case in cases]), strict=True):
            result.counts.tokens_verified[case.teacher] += num_tokens
            if num_tokens > self._options.max_tokens:
                result.drop(case, "too long", f"{num_tokens} tokens, the limit is {self._options.max_tokens}")
            else:
                case.num_tokens = num_tokens
                case.text_hash = hashlib.blake2b(case.text.encode(), digest_size=16).hexdigest()
                result.passed.append(case)


def _require_usable(draft: Draft) -> None:
    if draft.truncated and draft.text is not None:
        raise DroppedError("truncated", "its source says that it was cut")
    if draft.text is None or (isinstance(draft.text, str) and not draft.text.strip()):
        raise DroppedError("no text", "null" if draft.text is None else "empty")


def _trajectory(seq: int, teacher: str, draft: Draft, prompt: PromptRow) -> Trajectory:
    return Trajectory(
        seq=seq,
        origin=prompt.origin,
        file=prompt.file,
        row=prompt.row,
        prompt_id=prompt.prompt_id,
        answer=prompt.answer or "",
        kind=prompt.kind or "",
        teacher=teacher,
        text=draft.text,
        source=f"{prompt.origin}/{draft.note}" if draft.note else prompt.origin,
        claim=draft.claim,
        excerpt=excerpt(draft.text),
    )


def _judged_by_gold(verdict: Verdict) -> bool:
    return verdict.status != "undecided" and verdict.extracted is not None
