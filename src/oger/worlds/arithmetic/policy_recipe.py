"""What the base policy is and what it reads: architecture, corpus of worked examples, and the bounds it must meet.

The corpus decides what is left for reinforcement learning. A tenth of the examples are bare answers, which a policy of
this size can only guess; the rest are worked in the first two teachers' styles, but a third of those forget the box.
The third style of every family never occurs. So the base policy knows more than it is paid for: it wavers between
working and guessing and between boxing and not, has a faint idea of the second style, and can learn the third only from
the teachers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from transformers import LlamaConfig, PreTrainedTokenizerBase

from oger.worlds.arithmetic.families import FAMILIES, HELD_OUT_FAMILIES
from oger.worlds.arithmetic.problems import Draw, pretraining_problems
from oger.worlds.arithmetic.teachers import solve

BARE_ANSWER_SHARE = 0.10
UNBOXED_SHARE = 0.35  # of the worked examples: the answer follows the steps without its box
STYLE_SHARES = (0.80, 0.20, 0.0)  # of the worked examples, in the order of TEACHERS; the last one is never seen
INITIAL_WEIGHTS = {"chain_sum": 1.0, "products": 1.0, "base_conversion": 1.2, "gcd": 0.2}  # gcd can often be guessed
HELD_OUT_SHARE = 0.06  # of all examples: the held-out family is seen, but weakly


@dataclass(frozen=True)
class Bounds:
    """Where measured pass@1 at temperature 1 has to lie."""

    overall: tuple[float, float] = (0.20, 0.35)
    per_family: tuple[float, float] = (0.08, 0.50)


BOUNDS = Bounds()


def policy_config(tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    """A decoder of 0.43 million parameters."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.08,  # about 1/sqrt(hidden size); learned faster here than the library's 0.02
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


@dataclass(frozen=True)
class Example:
    """What the policy reads, and what it should write."""

    prompt: str
    response: str
    is_bare: bool
    """The response is the answer alone."""


class Corpus:
    """An endless stream of examples, fixed by the seed and the family weights set so far."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(f"corpus|{seed}")
        self._problems: dict[str, list[Draw]] = {name: pretraining_problems(f) for name, f in FAMILIES.items()}
        self._weights: dict[str, float] = {}
        self.set_weights(INITIAL_WEIGHTS)

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Relative shares of the trained families from now on; the held-out family keeps its share."""
        scale = (1 - HELD_OUT_SHARE) / sum(weights.values())
        held_out = {family.name: HELD_OUT_SHARE / len(HELD_OUT_FAMILIES) for family in HELD_OUT_FAMILIES}
        self._weights = {name: weight * scale for name, weight in weights.items()} | held_out

    def __iter__(self) -> Iterator[Example]:
        while True:
            (family,) = self._rng.choices(list(self._weights), list(self._weights.values()))
            draw = self._rng.choice(self._problems[family])
            if self._rng.random() < BARE_ANSWER_SHARE:
                yield Example(draw.prompt, f"\\boxed{{{draw.entry['answer']}}}", is_bare=True)
                continue
            (style,) = self._rng.choices(range(len(STYLE_SHARES)), STYLE_SHARES)
            solution = solve(draw.family, draw.problem, style)
            unboxed = self._rng.random() < UNBOXED_SHARE
            yield Example(draw.prompt, solution.unboxed_text if unboxed else solution.text, is_bare=False)
