"""The world of word problems: rows with verified trajectories, and a real language model as base policy."""

import json
from itertools import chain, islice
from pathlib import Path
from typing import Any

from oger.words import choose
from oger.worlds.curated import CuratedWorld
from oger.worlds.word_problems.policy import language_policy
from oger.worlds.word_problems.problems import OOD_SPLITS, SPLITS, Problem, draw_split
from oger.worlds.word_problems.teachers import TEACHERS, trajectory

# One worked example, in no teacher's style: without it the base policy hardly ever writes a box. Its question is short,
# so that two prompts do not share 13 words in a row, which decontamination would take for the same problem.
_INSTRUCTION = "Solve the word problem step by step and put the final number in \\boxed{}."
_EXAMPLE = "Ann buys 4 boxes of 6 pens. How many?"
_EXAMPLE_SOLUTION = "There are 4 boxes with 6 pens each, so Ann has 4 * 6 = 24 pens.\n\\boxed{24}"


_PARTS = {name: (name,) for name in SPLITS} | {"ood": OOD_SPLITS}


class WordProblemsWorld(CuratedWorld):
    """Word problems of two or three steps; `ood` is the union of the two out-of-distribution splits."""

    name = "word_problems"
    splits = tuple(_PARTS)
    max_completion_length = 144

    def max_completion_length_of(self, split: str) -> int:
        """Tokens that hold every teacher trajectory of the split and its EOS."""
        return 256 if "ood_longer" in choose(_PARTS, split, "split") else self.max_completion_length

    def raw_trajectories(self, split: str, *, limit: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Rows of a split with all that the teachers wrote, unverified."""
        draws = chain.from_iterable(draw_split(part, seed) for part in choose(_PARTS, split, "split"))
        return [_row(problem) for problem in islice(draws, limit)]

    def base_policy(self) -> Path:
        """SmolLM2-135M-Instruct, converted at the first call (see `language_policy`)."""
        return language_policy()


def _row(problem: Problem) -> dict[str, Any]:
    return {
        "prompt": [
            {"role": "system", "content": _INSTRUCTION},
            {"role": "user", "content": _EXAMPLE},
            {"role": "assistant", "content": _EXAMPLE_SOLUTION},
            {"role": "user", "content": problem.question},
        ],
        "answer": problem.answer,
        "kind": "math",  # reasoning-gym's scorer takes the first number of an answer: 1 of \boxed{1,250}
        "family": f"steps_{len(problem.equations)}",
        "metadata": json.dumps({"template": problem.template, "lines": problem.lines}),
        "teachers": [{"teacher": teacher.name, "text": trajectory(teacher, problem)} for teacher in TEACHERS],
    }
