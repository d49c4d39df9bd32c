"""The cases of the corpus."""

import json
from dataclasses import dataclass
from pathlib import Path

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


def load_cases() -> list[Case]:
    """Every case, in the order of the files."""
    lines = (line for path in sorted(CORPUS.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines())
    return [Case(**json.loads(line)) for line in lines]
