"""G online rollouts per prompt, by TRL's own generation; teacher rows are never generated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from trl.chat_template_utils import parse_response

from oger.training.batch import Rollouts
from oger.training.rollouts.entropy import EntropyRecorder
from oger.training.rollouts.shrinking_generation import shrinking_generation
from oger.training.step import StepContext
from oger.verification.rewards import completion_text


def sample(
    context: StepContext,
    inputs: Sequence[dict[str, Any]],
    generate: Callable[[list[Any]], Any],
    *,
    lean: bool,
    ends: Collection[int],
    given: Sequence[list[int]] | None = None,
) -> Rollouts:
    """This rank's rollouts.

    Args:
        inputs: rows of the batch; they get what a custom rollout function hands to the reward functions.
        generate: TRL's `_generate`, or what stands in for it.
        lean: whether finished rollouts leave the generation batch and entropies are taken while tokens are drawn.
        ends: ids of tokens that end a response.
        given: tokens that `generate` puts behind each prompt; they are the beginning of the response, which may be no
            longer with them than without.
    """
    prompts = [example["prompt"] for example in inputs]
    entropies = EntropyRecorder(context.args.temperature) if lean else None
    with shrinking_generation(context.unwrapped_policy, entropies) if lean else nullcontext():
        prompt_ids, completion_ids, token_masks, completions, logps, extra_fields, _, _ = generate(prompts)
    for key, values in extra_fields.items():
        for index, example in enumerate(inputs):
            example[key] = values[index] if isinstance(values, list) else values
    given_N = None
    if given is not None:
        given_N = torch.tensor([len(ids) for ids in given], device=context.device)
        most = context.args.max_completion_length
        token_masks = [[1] * len(ids) for ids in completion_ids] if token_masks is None else token_masks
        before: list[list[float | None]] = [[None] * len(ids) for ids in given]  # no engine sampled them: ratio 1
        logps = None if logps is None else _joined(before, logps, most)
        token_masks = _joined([[0] * len(ids) for ids in given], token_masks, most)
        completion_ids = _joined(given, completion_ids, most)
        for row, ids in enumerate(given):
            if ids:
                completions[row] = _completion(context, prompts[row], prompt_ids[row], completion_ids[row])
    return Rollouts(
        prompts=prompts,
        prompt_ids=prompt_ids,
        completion_ids=completion_ids,
        completions=completions,
        texts=[completion_text(completion) for completion in completions],
        truncated_N=torch.tensor(truncated(completion_ids, ends), device=context.device),
        sampling_logps=logps,
        entropies=entropies,
        token_masks=token_masks,
        given_N=given_N,
    )


def _joined(before: Sequence[Sequence[Any]], after: Sequence[Sequence[Any]], most: int) -> list[list[Any]]:
    return [[*first, *second][:most] for first, second in zip(before, after, strict=True)]


def _completion(context: StepContext, prompt: Any, prompt_ids: list[int], ids: list[int]) -> Any:
    """A response as TRL hands it to reward functions."""
    tokenizer = context.tokenizer
    if isinstance(prompt, str):
        return tokenizer.decode(ids, skip_special_tokens=True)
    if any(getattr(tokenizer, name, None) is not None for name in ("response_template", "response_schema")):
        return [parse_response(tokenizer, ids, prefix=prompt_ids)]
    return [{"role": "assistant", "content": tokenizer.decode(ids, skip_special_tokens=True)}]


def truncated(completion_ids: Sequence[Sequence[int]], ends: Collection[int]) -> list[bool]:
    """Whether each response stops without a token that ends it."""
    return [not ids or ids[-1] not in ends for ids in completion_ids]
