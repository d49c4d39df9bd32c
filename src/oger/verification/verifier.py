"""A verifier: answers are found and the easy ones decided here; the rest is remembered or sent to worker processes."""

import hashlib
import math
import pickle
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from oger.verification.formats import DEFAULT_RULES, extract_answer
from oger.verification.kinds import Kind, load_kind
from oger.verification.pool.frames import Grade, Task
from oger.verification.pool.pool import DEFAULT_MEMORY_LIMIT, WorkerPool, default_workers
from oger.verification.verdict import Verdict

DEFAULT_KIND = "math"
DEFAULT_TIMEOUT_S = 5.0
DEFAULT_CACHE_SIZE = 50_000
MAX_RESPONSE_CHARACTERS = 1_000_000
"""Longer responses are undecided: read in part only, they might lose the mark behind which the answer stands."""
MAX_ANSWER_CHARACTERS = 2_000
"""Longer answers are undecided, unless the gold answer is itself more than half as long."""

_CacheKey = tuple[str, str, str, bytes]


@dataclass(frozen=True)
class PoolStatistics:
    """Counts since the pool was made.

    `seen` = `unreadable` + `no_answer` + `too_long` + `instant` + `cached` + `graded`.
    """

    seen: int
    """Responses."""
    unreadable: int
    """Undecided because the gold answer is unreadable."""
    no_answer: int
    """Wrong because no answer was found."""
    too_long: int
    """Undecided because the response or the answer is too long to look at."""
    instant: int
    """Decided in the caller's process."""
    cached: int
    """Took over the grade of an equal answer, of this call or an earlier one."""
    graded: int
    """Sent to a worker."""
    undecided: Mapping[str, int]
    """Undecided responses by reason: gold, length, error, memory, deadline, died."""
    overruled: int
    """Answers sent to a worker where the second check overruled the first grader."""
    restarts: int
    """Workers replaced after a fault."""

    @classmethod
    def of(cls, counts: Counter[str], restarts: int) -> "PoolStatistics":
        """The record of raw counts; undecided ones are counted under `undecided/<reason>`."""
        undecided = {name.removeprefix("undecided/"): n for name, n in counts.items() if name.startswith("undecided/")}
        names = ("seen", "unreadable", "no_answer", "too_long", "instant", "cached", "graded", "overruled")
        return cls(**{name: counts[name] for name in names}, undecided=undecided, restarts=restarts)

    @property
    def undecided_share(self) -> float:
        """Undecided responses per response seen; 0 without any."""
        return sum(self.undecided.values()) / self.seen if self.seen else 0.0


class VerifierPool:
    """Worker processes, with a memory of what they decided. Threads may share one. Also a context manager.

    Keyword Args:
        workers: Number of processes; None = the usable cores, at most eight, divided among this machine's ranks.
        memory_limit: Bytes of address space that a grader may add to what the loaded kinds take (enforced on Linux).
        cache_size: How many decided answers are remembered, by kind, gold answer, extracted answer and metadata; the
            least recently used go first; 0 = none. What is undecided is never remembered: a deadline that passed on a
            busy machine may hold on a quiet one.
        instant: False sends even the answers that a kind decides at once to a worker.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        cache_size: int = DEFAULT_CACHE_SIZE,
        instant: bool = True,
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        if memory_limit < 1 or cache_size < 0:
            raise ValueError(f"memory_limit must be positive and cache_size not negative: {memory_limit}, {cache_size}")
        self._pool = WorkerPool(workers or default_workers(), memory_limit)
        self._cache: OrderedDict[_CacheKey, Grade] = OrderedDict()
        self._cache_size = cache_size
        self._instant = instant
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()  # of the cache and the counts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        return self._pool.pids

    @property
    def statistics(self) -> PoolStatistics:
        """What has become of all answers so far."""
        with self._lock:
            return PoolStatistics.of(self._counts, self._pool.restarts)

    def warm_up(self, *kinds: str) -> None:
        """Start every worker and load `kinds`, so that no later call waits for that.

        Raises:
            ValueError: an unknown kind; as VerifierError, one that does not load in a worker.
        """
        for name in kinds:
            load_kind(name)
        self._pool.warm_up(kinds)

    def close(self) -> None:
        """Kill the workers. A call in progress in another thread ends with a VerifierError, as do later calls."""
        self._pool.close()

    def forget(self) -> None:
        """In a forked child: leave the parent's workers to the parent; new ones start when needed."""
        self._lock = threading.Lock()
        self._pool.forget()

    def verify_many(
        self,
        golds: Sequence[str],
        responses: Sequence[str],
        *,
        kind: str | Sequence[str] = DEFAULT_KIND,
        metadata: Sequence[Any] | None = None,
        rules: Sequence[str] = DEFAULT_RULES,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> list[Verdict]:
        """The function `oger.verification.verify_many`, by this pool."""
        names = [kind] * len(responses) if isinstance(kind, str) else list(kind)
        entries = [None] * len(responses) if metadata is None else metadata
        _check_input(golds, responses, names, entries, timeout_s)
        kinds = {name: load_kind(name) for name in dict.fromkeys(names)}
        extract_answer("", rules)  # an unknown rule is an error whatever the responses are

        verdicts: dict[int, Verdict] = {}
        counts: Counter[str] = Counter(seen=len(responses))
        places: dict[Task, list[int]] = {}  # equal questions are asked once
        for index, (text, response, name, entry) in enumerate(zip(golds, responses, names, entries, strict=True)):
            read = kinds[name].read_gold
            gold = text if read is None else read(text)
            if gold is None:
                counts.update(("unreadable", "undecided/gold"))
                verdicts[index] = Verdict("undecided", None, f"the gold answer is unreadable: {text!r:.80}")
                continue
            found = self._at_once(gold, response, kinds[name], entry, rules, counts)
            if isinstance(found, Verdict):
                verdicts[index] = found
            else:
                task = Task(name, gold, found, _pickled(entry, index))
                places.setdefault(task, []).append(index)
        for task, grade in self._grades(list(places), timeout_s, counts):
            first, *others = places[task]
            verdicts[first] = _verdict(grade, task.kind, task.extracted)
            verdicts.update(dict.fromkeys(others, replace(verdicts[first], seconds=0.0)))
            counts["cached"] += len(others)
            if grade.fault:
                counts[f"undecided/{grade.fault}"] += len(places[task])
        with self._lock:
            self._counts.update(counts)
        return [verdicts[index] for index in range(len(responses))]

    def _at_once(
        self, gold: str, response: str, kind: Kind, entry: Any, rules: Sequence[str], counts: Counter[str]
    ) -> Verdict | str:
        """The verdict where this process can give one; else the answer that a worker must look at."""
        if len(response) > MAX_RESPONSE_CHARACTERS:
            counts.update(("too_long", "undecided/length"))
            reason = f"the response has {len(response)} characters, more than {MAX_RESPONSE_CHARACTERS}"
            return Verdict("undecided", None, reason)
        extracted = extract_answer(response, rules)
        if extracted is None:
            counts["no_answer"] += 1
            return Verdict("wrong", None, f"no answer found ({' > '.join(rules)})")
        longest = max(MAX_ANSWER_CHARACTERS, 2 * len(gold))
        if len(extracted) > longest:
            counts.update(("too_long", "undecided/length"))
            return Verdict("undecided", extracted, f"the answer has {len(extracted)} characters, more than {longest}")
        if self._instant and kind.instant is not None:
            correct = kind.instant(gold, extracted, entry)
            if correct is not None:
                counts["instant"] += 1
                return _verdict(Grade(correct), kind.name, extracted)
        return extracted

    def _grades(self, tasks: Sequence[Task], timeout_s: float, counts: Counter[str]) -> Iterator[tuple[Task, Grade]]:
        """The grade of each task: remembered, or from a worker."""
        keys = {task: _cache_key(task) for task in tasks}
        unknown = []
        for task in tasks:
            known = self._recall(keys[task])
            if known is None:
                unknown.append(task)
            else:
                counts["cached"] += 1
                yield task, known._replace(seconds=0.0)
        if not unknown:
            return
        counts["graded"] += len(unknown)
        for task, grade in zip(unknown, self._pool.grade(unknown, timeout_s), strict=True):
            counts["overruled"] += grade.overruled
            if not grade.fault:
                self._remember(keys[task], grade)
            yield task, grade

    def _recall(self, key: _CacheKey) -> Grade | None:
        with self._lock:
            grade = self._cache.get(key)
            if grade is not None:
                self._cache.move_to_end(key)
            return grade

    def _remember(self, key: _CacheKey, grade: Grade) -> None:
        with self._lock:
            self._cache[key] = grade
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)


def _check_input(
    golds: Sequence[str], responses: Sequence[str], kinds: Sequence[str], metadata: Sequence[Any], timeout_s: float
) -> None:
    for what, column in (("gold answers", golds), ("kinds", kinds), ("metadata entries", metadata)):
        if len(column) != len(responses):
            raise ValueError(f"{len(column)} {what} for {len(responses)} responses")
    for what, column in (("gold answer", golds), ("response", responses)):
        for index, text in enumerate(column):
            if not isinstance(text, str):
                raise ValueError(f"{what} {index} is {type(text).__name__} ({text!r:.60}), not a text")
    if not (timeout_s > 0 and math.isfinite(timeout_s)):
        raise ValueError(f"timeout_s must be a positive number of seconds, got {timeout_s}")


def _pickled(entry: Any, index: int) -> bytes:
    if entry is None:
        return b""
    try:
        return pickle.dumps(entry)
    except Exception as error:  # the object's own code runs here, and may raise anything
        raise ValueError(f"metadata entry {index} cannot be sent to a worker: {error}") from error


def _cache_key(task: Task) -> _CacheKey:
    digest = hashlib.blake2b(task.metadata, digest_size=16).digest() if task.metadata else b""
    return (task.kind, task.gold, task.extracted, digest)


def _verdict(grade: Grade, kind: str, extracted: str) -> Verdict:
    if grade.correct is None:
        raised = f"grader {kind!r} raised " if grade.fault in ("error", "memory") else ""
        return Verdict("undecided", extracted, raised + grade.note, grade.seconds)
    reason = f"equals the gold answer ({kind})" if grade.correct else f"differs from the gold answer ({kind})"
    reason += f": {grade.note}" if grade.note else ""
    return Verdict("correct" if grade.correct else "wrong", extracted, reason, grade.seconds, grade.overruled)
