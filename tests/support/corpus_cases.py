"""The cases of the corpus."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oger.verification import DEFAULT_RULES, Verdict, verify_many

CORPUS = Path(__file__).parents[1] / "verification" / "corpus"


@dataclass(frozen=True)
class Case:
    """One line of the corpus; the README there says what the fields mean."""

    gold: str
    answer: str
    expected: str
    family: str
    kind: str = "math"
    known_limit: bool = False
    metadata: Any = None
    rules: tuple[str, ...] = DEFAULT_RULES


def load_cases() -> list[Case]:
    """Every case, in the order of the files."""
    lines = (line for path in sorted(CORPUS.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines())
    entries = map(json.loads, lines)
    return [Case(**{**entry, "rules": tuple(entry.get("rules", DEFAULT_RULES))}) for entry in entries]


def grade(cases: Sequence[Case], **options: Any) -> list[Verdict]:
    """The verdicts on cases, in order; `options` are those of `verify_many`, without the columns that cases give."""
    verdicts: dict[int, Verdict] = {}
    for rules in dict.fromkeys(case.rules for case in cases):
        places = [index for index, case in enumerate(cases) if case.rules == rules]
        chosen = [cases[index] for index in places]
        found = verify_many(
            [case.gold for case in chosen],
            [case.answer for case in chosen],
            metadata=[case.metadata for case in chosen],
            rules=rules,
            **{"kind": [case.kind for case in chosen], **options},
        )
        verdicts.update(zip(places, found, strict=True))
    return [verdicts[index] for index in range(len(cases))]
