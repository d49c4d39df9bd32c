"""What the base policy is and what it reads.

Most examples are walks: numbers joined at random until one value is left, which becomes the target in hindsight. So the
policy knows arithmetic and writes many different computations, but it cannot look ahead far, keeps no subgoals and
never goes back. The teachers' way (subgoals, attempts that are checked, the next attempt) is in a few examples out of a
hundred, and walks that scale in the middle are rare: nobody shows those to the policy again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from transformers import LlamaConfig, PreTrainedTokenizerBase

from oger.worlds.numbers.classify import scales_in_the_middle
from oger.worlds.numbers.problems import FIXED_TARGET, MAX_NUMBER, TARGETS, Problem
from oger.worlds.numbers.strategies import walk
from oger.worlds.numbers.teachers import boxed, solve

SIZE_SHARES = {3: 0.2, 4: 0.7, 5: 0.1}  # how many numbers
STRATEGY_SHARES = {"products": 0.016, "pairs": 0.008, "backward": 0.016}  # of all examples; the rest are walks
KEPT_OF_SCALED = 0.15  # walks that scale in the middle: most are thrown away


def policy_config(tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    """A decoder of 0.50 million parameters."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.08,  # about 1/sqrt(hidden size)
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


@dataclass(frozen=True)
class Example:
    """What the policy reads, and what it should write."""

    prompt: str
    response: str


class Corpus:
    """An endless stream of examples, fixed by the seed."""

    def __init__(self, seed: int | str) -> None:
        self._rng = Random(f"numbers|{seed}")

    def __iter__(self) -> Iterator[Example]:
        rng = self._rng
        kinds = ["walk", *STRATEGY_SHARES]
        shares = [1 - sum(STRATEGY_SHARES.values()), *STRATEGY_SHARES.values()]
        while True:
            (kind,) = rng.choices(kinds, shares)
            example = None
            while example is None:  # the kind was drawn once, so that refusals do not change its share
                example = self._walked() if kind == "walk" else self._solved(kind)
            yield example

    def _numbers(self) -> tuple[int, ...]:
        (size,) = self._rng.choices(list(SIZE_SHARES), list(SIZE_SHARES.values()))
        return tuple(self._rng.randint(1, MAX_NUMBER) for _ in range(size))

    def _walked(self) -> Example | None:
        numbers = self._numbers()
        walked = walk(numbers, self._rng)
        if walked is None:
            return None
        steps, term = walked
        problem = Problem(numbers, term.value)
        if not _is_readable(problem) or (scales_in_the_middle(term) and self._rng.random() >= KEPT_OF_SCALED):
            return None
        return Example(problem.prompt, boxed(steps, term.text))

    def _solved(self, strategy: str) -> Example | None:
        problem = Problem(self._numbers(), self._rng.choice(TARGETS))
        response = solve(strategy, problem, self._rng) if _is_readable(problem) else None
        return Example(problem.prompt, response) if response else None


def _is_readable(problem: Problem) -> bool:
    return problem.target in TARGETS and problem.target != FIXED_TARGET and problem.part == "pretraining"
