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

from oger.teachers.curate.chunks import Chunk, canonical
from oger.teachers.curate.clean import DroppedError, clean_gold, clean_metadata, clean_prompt, excerpt, is_unicode
from oger.teachers.curate.decontaminate import EvaluationPrompts
from oger.teachers.curate.layouts import load_layout
from oger.teachers.curate.options import CurateOptions
from oger.teachers.curate.records import BadRowError, Counts, Draft, Entry, Place, PromptRow, Reject, Trajectory, bump
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
    rejects: list[Reject] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)


@dataclass
class _Case:
    """A trajectory on its way through the stages, with the row it belongs to."""

    seq: int
    place: Place
    prompt: PromptRow
    draft: Draft
    teacher: str
    text: str = ""
    num_tokens: int = 0


class Checker:
    """Checks batches of source rows by the options of a curation."""

    def __init__(
        self, options: CurateOptions, counter: TokenCounter, evaluation: EvaluationPrompts, *, workers: int | None
    ) -> None:
        """`workers` are the verifier's processes."""
        self._options = options
        self._count_tokens = counter
        self._evaluation = evaluation
        self._workers = workers
        self._known_kinds: dict[str, str] = {}  # kind -> what is wrong with it, "" = nothing

    def check(self, chunk: Chunk, first_seq: int) -> Checked:
        """Take every row of a chunk through the stages; `first_seq` is the position of the first row."""
        result = Checked()
        cases = self._parse(chunk, first_seq, result)
        cases = self._normalise(cases, result)
        cases = self._verify(cases, result)
        cases = self._length(cases, result)
        result.passed = [
            Trajectory(
                seq=case.seq,
                prompt_id=case.prompt.prompt_id,
                answer=case.prompt.answer or "",
                kind=case.prompt.kind or "",
                teacher=case.teacher,
                text=case.text,
                text_hash=hashlib.blake2b(case.text.encode(), digest_size=16).hexdigest(),
                num_tokens=case.num_tokens,
                source=f"{case.place.source}/{case.draft.note}" if case.draft.note else case.place.source,
                origin=case.place.source,
                file=case.place.file,
                row=case.place.row,
            )
            for case in cases
        ]
        return result

    def _parse(self, chunk: Chunk, seq: int, result: Checked) -> list[_Case]:
        source = self._options.sources[chunk.source]
        layout = load_layout(source.layout)
        cases: list[_Case] = []
        for number, row in enumerate(chunk.rows(), start=chunk.first_row):
            place = Place(source.name, chunk.file, number)
            bump(result.counts.rows, source.name)
            try:
                if isinstance(row, ValueError):
                    raise BadRowError(str(row))
                missing = [f for f in layout.required if source.columns.get(f, f) not in row]
                missing = [f for f in missing if source.columns.get(f, f)]
                if missing:
                    raise BadRowError(f"no column {source.columns.get(missing[0], missing[0])!r}")
                entry = layout.parse(canonical(row, source))
            except BadRowError as error:
                result.rejects.append(Reject(place, None, "broken row", str(error), excerpt(row)))
                seq += 1
                continue
            seq = self._parse_entry(entry, place, seq, result, cases)
        return cases

    def _parse_entry(self, entry: Entry, place: Place, seq: int, result: Checked, cases: list[_Case]) -> int:
        prompt, problem = self._prompt_row(entry, place, seq)
        seq += 1
        if prompt is None:
            result.rejects.append(Reject(place, None, "bad prompt", problem, excerpt(entry.prompt)))
        else:
            result.prompts.append(prompt)
            if not entry.drafts:
                bump(result.counts.rows_without_trajectory, place.source)
        for draft in entry.drafts:
            teacher = place.source if draft.teacher is None else draft.teacher
            good_name = isinstance(teacher, str) and is_unicode(teacher) and teacher.strip()
            # One teacher, however its name was typed.
            name = " ".join(unicodedata.normalize("NFC", teacher).split()) if good_name else place.source
            bump(result.counts.seen, name)
            try:
                if not good_name:
                    raise DroppedError("bad teacher", f"{teacher!r} is no name of a teacher")
                if prompt is None:
                    raise DroppedError("bad prompt", problem)
                if draft.text is None or (
                    isinstance(draft.text, str) and not draft.text.strip() and not draft.truncated
                ):
                    raise DroppedError("no text", "null" if draft.text is None else "empty")
                if draft.truncated:
                    raise DroppedError("truncated", "its source says that it was cut")
                if prompt.gold_problem is not None:
                    raise DroppedError(prompt.gold_problem, problem)
            except DroppedError as drop:
                pid = prompt.prompt_id if prompt is not None else None
                result.rejects.append(Reject(place, name, drop.reason, str(drop), excerpt(draft.text), pid))
            else:
                assert prompt is not None
                cases.append(_Case(seq, place, prompt, draft, name))
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
            origin=place.source,
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

    def _normalise(self, cases: Sequence[_Case], result: Checked) -> list[_Case]:
        """Unicode's form C, line ends as \\n, no white space around."""
        passed = []
        for case in cases:
            text = case.draft.text
            if not isinstance(text, str) or not is_unicode(text):
                detail = "not Unicode text" if isinstance(text, str) else f"{type(text).__name__}, not a text"
                self._reject(case, "bad text", detail, result)
                continue
            case.text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip()
            passed.append(case)
        return passed

    def _verify(self, cases: Sequence[_Case], result: Checked) -> list[_Case]:
        """Keep what the verifier finds correct; a gold that it cannot read is found out before it judges anyone."""
        trusted = self._options.trust_claims
        asked = [case for case in cases if not (trusted and case.draft.claim is not None)]
        verdicts = self._verdicts([case.prompt for case in asked], [case.text for case in asked], self._options.rules)
        judged = {case.seq: (verdict.status, verdict.reason) for case, verdict in zip(asked, verdicts, strict=True)}
        overruled = {case.seq for case, verdict in zip(asked, verdicts, strict=True) if verdict.overruled}
        for case in cases:
            if case.seq not in judged:
                judged[case.seq] = ("correct" if case.draft.claim else "wrong", "its source says so")

        read = {case.prompt.seq for case, verdict in zip(asked, verdicts, strict=True) if _judged_by_gold(verdict)}
        self._check_golds(read | {case.prompt.seq for case in cases if judged[case.seq][0] == "correct"}, result)
        passed = []
        for case in cases:
            status, why = judged[case.seq]
            if case.prompt.gold_problem is not None:
                self._reject(case, case.prompt.gold_problem, "the verifier cannot read the gold answer", result)
                continue
            bump(result.counts.verdicts.setdefault(case.teacher, {}), status)
            if case.seq in overruled:
                bump(result.counts.verdicts[case.teacher], "overruled")
            if case.draft.claim is not None:
                claim = "correct" if case.draft.claim else "wrong"
                bump(result.counts.claims.setdefault(case.teacher, {}), f"{claim}/{status}")
            if status == "correct":
                passed.append(case)
            else:
                self._reject(case, status, why, result)
        return passed

    def _check_golds(self, readable: set[int], result: Checked) -> None:
        """Mark the golds that the verifier cannot read: not even its kind's own probe answers are decided against them.

        Rows whose gold is known to be `readable`, since it judged a trajectory, are not asked again.
        """
        asked = [
            (row, f"\\boxed{{{answer}}}")
            for row in result.prompts
            if row.gold_problem is None and row.seq not in readable
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

    def _length(self, cases: Sequence[_Case], result: Checked) -> list[_Case]:
        passed = []
        for case, num_tokens in zip(cases, self._count_tokens([case.text for case in cases]), strict=True):
            case.num_tokens = num_tokens
            bump(result.counts.tokens_verified, case.teacher, num_tokens)
            if num_tokens > self._options.max_tokens:
                self._reject(case, "too long", f"{num_tokens} tokens, the limit is {self._options.max_tokens}", result)
            else:
                passed.append(case)
        return passed

    def _reject(self, case: _Case, reason: str, detail: str, result: Checked) -> None:
        result.rejects.append(
            Reject(case.place, case.teacher, reason, detail, excerpt(case.draft.text), case.prompt.prompt_id)
        )


def _judged_by_gold(verdict: Verdict) -> bool:
    return verdict.status != "undecided" and verdict.extracted is not None
