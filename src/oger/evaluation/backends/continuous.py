"""Transformers with continuous batching: a response that ends makes room for the next one at once.

`TransformersGenerator` waits for the longest response of each batch. Here the requests share one paged cache of keys
and values, and the batch is refilled at every step (`ContinuousBatchingManager` of transformers).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oger.evaluation.backends.base import Generated, Request, SamplingSettings, room_for
from oger.seeds import derived_seed

_PAGE_TOKENS = 64
_PREFILL_TOKENS = 512
"""Least tokens of one step on a CPU, where the defaults would reserve more than half of the memory."""
_WAIT_S = 1.0


class ContinuousGenerator:
    """A policy in this process. Greedy responses are those of `TransformersGenerator`.

    Sampled ones follow the seed and the set of requests of a call: a resumed evaluation draws the missing ones anew.

    Args:
        most_at_once: responses generated at once.
        chat_template_kwargs: as in training.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, most_at_once: int, chat_template_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._most_at_once = most_at_once
        self._chat_template_kwargs = chat_template_kwargs

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[list[Generated]]:
        """Each response when it is done.

        Raises:
            ValueError: a prompt that leaves no room in the context, or a generation that fails, such as for memory.
        """
        from oger.evaluation.backends import transformers as sampling

        eos_ids = sampling.end_token_ids(self._model, self._tokenizer)
        prompts = {
            (request.problem, request.sample): sampling.encode_prompt(
                self._tokenizer, request.prompt, self._chat_template_kwargs
            )
            for request in requests
        }
        limits = {key: room_for(self._model, key[0], len(ids), settings.max_tokens) for key, ids in prompts.items()}
        seed = derived_seed(settings.seed, list(prompts))
        options = {
            "generation_config": sampling.generation_config(self._tokenizer, eos_ids, settings),
            "continuous_batching_config": self._config(seed, [len(ids) + limits[key] for key, ids in prompts.items()]),
        }
        names = {f"{problem} {sample}": (problem, sample) for problem, sample in prompts}
        with sampling.seeded(self._model, seed), sampling.evaluation_mode(self._model):
            manager = self._model.init_continuous_batching(**options)
            for name, key in names.items():  # before the start: what stands in a step must not depend on the clock
                manager.add_request(prompts[key], request_id=name, max_new_tokens=limits[key], eos_token_id=eos_ids)
            manager.start()
            try:
                for _ in prompts:
                    output = _next(manager)
                    key = names[output.request_id]
                    yield [sampling.as_response(self._tokenizer, *key, output.generated_tokens, eos_ids)]
            finally:
                manager.stop(block=True, hard_stop=True)
                manager.destroy()

    def _config(self, seed: int, lengths: Sequence[int]) -> Any:
        from transformers import ContinuousBatchingConfig

        at_once = min(self._most_at_once, len(lengths))
        if self._model.device.type != "cpu":
            return ContinuousBatchingConfig(seed=seed, max_requests_per_batch=at_once)
        return ContinuousBatchingConfig(
            seed=seed,
            max_requests_per_batch=at_once,
            page_size=_PAGE_TOKENS,
            num_blocks=at_once * math.ceil(max(lengths) / _PAGE_TOKENS),
            max_batch_tokens=max(_PREFILL_TOKENS, at_once),
        )


def _next(manager: Any) -> Any:
    """The next finished request."""
    while True:
        output = manager.get_result(timeout=_WAIT_S)
        if output is None and not manager.is_running():
            raise ValueError(f"continuous batching ended: {manager.background_thread_status.fatal_error}")
        if output is not None and output.is_finished():
            if output.error is not None:
                raise ValueError(f"continuous batching failed: {output.error}; try a smaller --batch-size")
            return output
