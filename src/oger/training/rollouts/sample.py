"""G online rollouts per prompt, by TRL's own generation; teacher rows are never generated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

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
) -> Rollouts:
    """This rank's rollouts.

    Args:
        context: of the step.
        inputs: rows of the batch; they get what a custom rollout function hands to the reward functions.
        generate: TRL's `_generate`, or what stands in for it.
        lean: whether finished rollouts leave the generation batch and entropies are taken while tokens are drawn.
        ends: ids of tokens that end a response.
    """
    prompts = [example["prompt"] for example in inputs]
    with _leanly(context, lean) as entropies:
        prompt_ids, completion_ids, token_masks, completions, logps, extra_fields, _, _ = generate(prompts)
    for key, values in extra_fields.items():
        for index, example in enumerate(inputs):
            example[key] = values[index] if isinstance(values, list) else values
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
    )


def truncated(completion_ids: Sequence[Sequence[int]], ends: Collection[int]) -> list[bool]:
    """Whether each response stops without a token that ends it."""
    return [not ids or ids[-1] not in ends for ids in completion_ids]


@contextmanager
def _leanly(context: StepContext, lean: bool) -> Iterator[EntropyRecorder | None]:
    if not lean:
        yield None
        return
    recorder = EntropyRecorder(context.args.temperature)
    with shrinking_generation(context.unwrapped_policy, recorder):
        yield recorder
