"""Whether the exploration reward can act on a policy: how alike its correct rollouts are, how far the teachers are.

The reward compares correct rollouts of one group, so it needs groups in which several are correct and differ. How far
the teachers are from what the policy would write is told in nats per token: the mean of -log p of a text's tokens
behind its prompt, its end among them, beside that of the policy's own correct rollouts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from oger.encoders.base import Encoder
from oger.evaluation.backends.transformers import encode_prompt, end_token_ids, evaluation_mode
from oger.evaluation.statistics.diversity import correct_variety
from oger.method.divergence import teacher_divergence
from oger.reporting.inspection import FLAT, Distribution
from oger.teachers.table.column import COLUMN, parse_cell
from oger.teachers.table.turn import EndInsideError, PolicyTurn, chat_turn, plain_turn

OWN = "the policy's own correct rollouts"
_TOKENS_AT_ONCE = 2048
"""Of one forward, padding included: the logits of a vocabulary of 152,000 take 1.2 GB then."""


@dataclass(frozen=True, kw_only=True)
class PolicyInspection:
    """What a policy does on the prompts of a table."""

    rollouts: int
    correct_share: float
    groups: int
    """Prompts with two correct rollouts or more; the two numbers below are means over them, None if there are none."""
    distinct_share: float | None
    """Different texts among the correct rollouts of a group."""
    correct_spread: float | None
    """Standard deviation of D among them."""
    nats: Mapping[str, Distribution]
    """OWN and each teacher -> nats per token of their texts."""
    conflict: float | None
    """Mean over prompts with several teachers of the nats per token between the likeliest and the unlikeliest text."""

    @property
    def can_act(self) -> bool:
        """Whether correct rollouts of a group differ by more than FLAT in D."""
        return self.correct_spread is not None and self.correct_spread >= FLAT


def inspect_policy(
    rows: Sequence[Mapping[str, Any]],
    policy: tuple[Any, Any],
    encoder: Encoder,
    rollouts_PG: Sequence[Sequence[str]],
    outcomes_PG: Sequence[Sequence[float | None]],
    *,
    aggregation: str = "mean",
) -> PolicyInspection:
    """Measure a policy (model, tokenizer) on rows with the column `teachers`.

    Args:
        rollouts_PG: responses to each row's prompt.
        outcomes_PG: their verdicts, 1.0 where correct.
        aggregation: of D over a prompt's teachers, as in training.
    """
    cells = [parse_cell(row.get(COLUMN)) for row in rows]
    varieties, own = [], []
    for index, (texts, outcomes) in enumerate(zip(rollouts_PG, outcomes_PG, strict=True)):
        right = [text for text, outcome in zip(texts, outcomes, strict=True) if outcome == 1]
        own += [(index, OWN, text) for text in dict.fromkeys(right)]
        if len(right) > 1 and cells[index]:
            teacher_ME = encoder.encode([teacher["text"] for teacher in cells[index]])
            divergence_C = teacher_divergence(encoder.encode(right), teacher_ME, aggregation=aggregation)
            varieties.append(correct_variety(right, divergence_C))
    taught = [(index, teacher["teacher"], teacher["text"]) for index, cell in enumerate(cells) for teacher in cell]
    nats = _nats_per_token(policy, rows, [*own, *taught])
    by_name: dict[str, list[float]] = {}
    by_prompt: dict[int, list[float]] = {}
    for (index, name, _), value in zip([*own, *taught], nats, strict=True):
        if value is not None:
            by_name.setdefault(name, []).append(value)
            if name != OWN:
                by_prompt.setdefault(index, []).append(value)
    apart = [max(values) - min(values) for values in by_prompt.values() if len(values) > 1]
    every = [outcome for outcomes in outcomes_PG for outcome in outcomes]
    return PolicyInspection(
        rollouts=len(every),
        correct_share=sum(outcome == 1 for outcome in every) / len(every),
        groups=len(varieties),
        distinct_share=_mean([share for share, _ in varieties]),
        correct_spread=_mean([spread for _, spread in varieties]),
        nats={name: Distribution.of(torch.tensor(values)) for name, values in by_name.items()},
        conflict=_mean(apart),
    )


def sentences(found: PolicyInspection) -> str:
    """In words: whether the reward can act, and how far the teachers are."""
    lines = [f"{found.correct_share:.0%} of {found.rollouts} rollouts are correct."]
    if found.distinct_share is None or found.correct_spread is None:
        lines.append("No prompt has two correct rollouts: the exploration reward has nothing to compare yet.")
    else:
        state = (
            "differ, so the exploration reward can act"
            if found.can_act
            else "are nearly the same text: the exploration reward has nothing to tell apart"
        )
        lines.append(
            f"Correct rollouts of a group {state} ({found.distinct_share:.0%} different texts, D differs by "
            f"{found.correct_spread:.3f}; {FLAT} is little; {found.groups} groups)."
        )
    if found.conflict is not None:
        lines.append(f"Of the teachers of one prompt, the unlikeliest is {found.conflict:.2f} nats per token behind.")
    return " ".join(lines)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


@torch.no_grad()
def _nats_per_token(
    policy: tuple[Any, Any], rows: Sequence[Mapping[str, Any]], texts: Sequence[tuple[int, str, str]]
) -> list[float | None]:
    """Of each (row, whose, text); None for a text that the policy could not have written in one turn."""
    model, tokenizer = policy
    stops = end_token_ids(model, tokenizer)
    turns: dict[bool, PolicyTurn] = {}
    asked: list[tuple[list[int], list[int]]] = []
    for row, _, text in texts:
        prompt = rows[row]["prompt"]
        chat = not isinstance(prompt, str)
        if chat not in turns:
            turns[chat] = chat_turn(tokenizer, stops) if chat else plain_turn(tokenizer, stops)
        try:
            answer = turns[chat].token_ids(turns[chat].text_after(prompt, text))
        except EndInsideError:
            answer = []
        asked.append((encode_prompt(tokenizer, prompt), answer))
    order = sorted((place for place in range(len(asked)) if asked[place][1]), key=lambda place: _length(asked[place]))
    nats: list[float | None] = [None] * len(texts)
    with evaluation_mode(model):
        while order:
            count = max(1, _TOKENS_AT_ONCE // _length(asked[order[-1]]))
            batch, order = order[-count:], order[:-count]
            for place, value in zip(batch, _mean_nats(model, [asked[place] for place in batch]), strict=True):
                nats[place] = value
    return nats


def _length(asked: tuple[list[int], list[int]]) -> int:
    return len(asked[0]) + len(asked[1])


def _mean_nats(model: Any, asked: Sequence[tuple[list[int], list[int]]]) -> list[float]:
    """Mean -log p of the answers' tokens behind their prompts; rows are padded on the right."""
    longest = max(map(_length, asked))
    ids_BT = torch.zeros(len(asked), longest, dtype=torch.long, device=model.device)
    attended_BT = torch.zeros_like(ids_BT)
    for row, (prompt, answer) in enumerate(asked):
        ids_BT[row, : len(prompt) + len(answer)] = torch.tensor([*prompt, *answer], device=model.device)
        attended_BT[row, : len(prompt) + len(answer)] = 1
    logits_BTV = model(input_ids=ids_BT, attention_mask=attended_BT).logits
    nats = []
    for row, (prompt, answer) in enumerate(asked):
        answered = slice(len(prompt), len(prompt) + len(answer))
        logits_LV = logits_BTV[row, answered.start - 1 : answered.stop - 1].float()
        nats.append(torch.nn.functional.cross_entropy(logits_LV, ids_BT[row, answered]).item())
    return nats
