"""A teacher's text as a turn of the policy: what the policy would have had to sample after the prompt.

A chat template may open the response itself: the generation prompt of a reasoning model ends in `<think>`, or in an
empty block where reasoning is switched off. What the prompt has opened, the teacher's text does not repeat; behind an
empty block a teacher's reasoning loses its tags. The turn ends as the policy's turns end, once. LUFFY's loader
(arXiv 2504.14945) strips the opened tag in the same way. A text that never closes its reasoning would teach the policy
to end inside its own: where the answer is read behind `</think>` alone, such a text is no answer, and is refused.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase

from oger.verification.formats import CLOSED

_OPENED = re.compile(r"<(?P<name>[A-Za-z_][\w-]*)>(?:\s*(?P<closed></(?P=name)>))?(?P<blank>\s*)\Z")
"""What a prompt may end in: an opened tag, or an empty block."""
_LOOKED_AT = 200  # characters of a prompt's end
_SAID = "Said so"  # stands for what an assistant says, and occurs in no template
_TEXTS_KEPT = 1024  # as token ids: those of a few rollout batches, or of a small set


class EndInsideError(ValueError):
    """A text holds a token that ends the turn before the text ends."""


class NeverClosedError(ValueError):
    """A text never closes its reasoning, and the run's answers are read behind it."""


@dataclass(frozen=True, kw_only=True)
class PolicyTurn:
    """How a turn of one policy begins and ends."""

    tokenizer: PreTrainedTokenizerBase
    end_ids: tuple[int, ...]
    """Tokens that end a turn. The last one stops the generation."""
    end_texts: tuple[str, ...]
    """Texts of all tokens that would end it."""
    template_options: Mapping[str, Any] = field(default_factory=dict)
    """What the run hands to the chat template beside the messages."""
    header: str = ""
    """What the policy itself has to write before its answer, because the generation prompt does not: special tokens."""
    answers_behind_think: bool = False
    """Whether a text without `</think>` has no answer by the run's rules."""

    def text_after(self, prompt: str | Sequence[Mapping[str, Any]], text: str) -> str:
        """What the policy would have had to sample after this prompt, without the end of its turn.

        Args:
            prompt: a text, or messages that the tokenizer's template renders.
            text: the teacher's.

        Raises:
            EndInsideError: if a token that ends the turn stands before the end of the text.
            NeverClosedError: if the answer is read behind `</think>` alone, and the policy would not have written it.
            ValueError: if the template leaves it to the policy to open its answer, and the text does not.
        """
        if self.header and not text.lstrip().startswith(_special_texts(self.tokenizer)):
            raise ValueError(
                f"the chat template's generation prompt does not open the answer: {self.header!r} is to stand before "
                "it, and the teacher's text does not begin so. Take a template that opens the answer"
            )
        if text.lstrip().startswith("<") or CLOSED in text:  # other texts have no tag, and need no rendered prompt
            text = _without_opened(text, rendered_prompt(prompt, self.tokenizer, self.template_options)[-_LOOKED_AT:])
        while ended := next((end for end in self.end_texts if text.rstrip().endswith(end)), None):
            text = text.rstrip().removesuffix(ended)
        if any(end in text for end in self.end_texts):
            raise EndInsideError("a token that ends the turn stands inside the text")
        if self.answers_behind_think and text.strip() and CLOSED not in text:
            raise NeverClosedError(f"the text never closes its reasoning with {CLOSED}")
        return text

    def left_open(self, prompt: str | Sequence[Mapping[str, Any]], text: str) -> str | None:
        """The tag that this prompt has opened and that a text behind it never closes; None where there is none."""
        if CLOSED in text:  # the tag that templates open: most texts of models that think need no rendered prompt
            return None
        opened = _OPENED.search(rendered_prompt(prompt, self.tokenizer, self.template_options)[-_LOOKED_AT:])
        if opened is None or opened["closed"] or f"</{opened['name']}>" in text:
            return None
        return f"<{opened['name']}>"

    def token_ids(self, text: str) -> list[int]:
        """Token ids of a whole turn, as the policy would have sampled them: the text, then its end.

        The ids of the last texts are kept: whoever asks again, in the same step or the next epoch, has them at once.
        """
        return [*_token_ids(text, self.tokenizer), *self.end_ids]


def rendered_prompt(
    prompt: str | Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, template_options: Mapping[str, Any]
) -> str:
    """What the policy reads before it answers: the text, or the messages in its template, opened for the answer."""
    if isinstance(prompt, str):
        return prompt
    messages: Any = list(prompt)
    rendered: Any = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=False, **template_options
    )
    return rendered


def plain_turn(tokenizer: PreTrainedTokenizerBase, stop_ids: Collection[int] = ()) -> PolicyTurn:
    """The turn after a prompt that is a text: it ends with the end of sequence.

    Args:
        tokenizer: the policy's, with an end of sequence.
        stop_ids: further tokens at which the policy stops.
    """
    eos = tokenizer.eos_token_id
    return PolicyTurn(tokenizer=tokenizer, end_ids=(eos,), end_texts=_texts(tokenizer, {eos, *stop_ids}))


def chat_turn(
    tokenizer: PreTrainedTokenizerBase,
    stop_ids: Collection[int] = (),
    template_options: Mapping[str, Any] | None = None,
) -> PolicyTurn:
    """The turn of an assistant, which ends as the chat template ends it.

    That is the first token behind an assistant's message at which the policy stops, and the special tokens that the
    template has before it. Where there is none, the template's first special token is followed by the end of sequence,
    without which the generation would go on.

    Args:
        tokenizer: the policy's, with a chat template and an end of sequence.
        stop_ids: tokens at which the policy stops beside the end of sequence, as its generation configuration says.
        template_options: what the run hands to the template beside the messages.
    """
    eos, options = tokenizer.eos_token_id, dict(template_options or {})
    stops = {eos, *stop_ids}
    messages = [{"role": "user", "content": "Say so."}, {"role": "assistant", "content": _SAID}]
    rendered: Any = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    _, said, tail = rendered.rpartition(_SAID)
    tail_ids = tokenizer(tail, add_special_tokens=False)["input_ids"] if said else []
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    asked = rendered_prompt(messages[:1], tokenizer, options)
    header = rendered[len(asked) : -len(_SAID + tail)] if said and rendered.startswith(asked) else ""
    opens = any(token in special for token in tokenizer(header, add_special_tokens=False)["input_ids"])
    ending = [token for token in tail_ids if token in special or token in stops]
    stopping = next((place for place, token in enumerate(ending) if token in stops), None)
    end_ids = (*ending[:1], eos) if stopping is None else tuple(ending[: stopping + 1])
    return PolicyTurn(
        tokenizer=tokenizer,
        end_ids=end_ids,
        end_texts=_texts(tokenizer, stops | set(end_ids)),
        template_options=options,
        header=header if opens else "",
    )


def _texts(tokenizer: PreTrainedTokenizerBase, ids: Collection[int]) -> tuple[str, ...]:
    return tuple(text for text in tokenizer.convert_ids_to_tokens(sorted(ids)) if text)


def _special_texts(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    return tuple(added.content for added in tokenizer.added_tokens_decoder.values() if added.special)


def _without_opened(text: str, prompt_end: str) -> str:
    """The text without the tag, or the empty block, and the blanks behind it that its prompt ends in."""
    opened = _OPENED.search(prompt_end)
    if opened is None:
        return text
    if opened["closed"]:
        # The prompt has closed its block, so that no second one follows: the reasoning stands before the answer.
        thinks = re.match(rf"\s*<{re.escape(opened['name'])}>(?!\s*</)\s*", text)
        thought, closed, said = text[thinks.end() if thinks else 0 :].partition(opened["closed"])
        if closed and thought.strip() != f"<{opened['name']}>":  # else a block without a thought
            return f"{thought.rstrip()}\n\n{said.lstrip()}".strip()
        if thinks:
            return thought
    tag = re.escape(f"<{opened['name']}>") + (rf"\s*{re.escape(opened['closed'])}" if opened["closed"] else "")
    repeated = re.match(rf"\s*{tag}", text)
    if repeated is None:
        return text
    rest, blank = text[repeated.end() :], opened["blank"]
    while not rest.startswith(blank):
        blank = blank[:-1]
    return rest[len(blank) :]


@lru_cache(_TEXTS_KEPT)
def _token_ids(text: str, tokenizer: PreTrainedTokenizerBase) -> array[int]:
    return array("l", tokenizer(text, add_special_tokens=False)["input_ids"])
