"""Responses of a policy in vLLM (the extra `vllm`), in this process. Token ids go in, so the prompts are the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oger.evaluation.backends.base import Generated, Request, SamplingSettings
from oger.seeds import derived_seed

_ENVIRONMENT = {
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # the default is where the table of `oger evaluate` goes
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # an engine in a process of its own outlives a killed evaluation
}
"""Of vLLM, where the user has not set them."""


class VllmGenerator:
    """A model folder or hub id in vLLM.

    Raises:
        ValueError: vLLM is not installed.
    """

    def __init__(self, source: str, *, chat_template_kwargs: Mapping[str, Any] | None = None) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from vllm import LLM
        except ImportError as error:
            raise ValueError(f"--backend vllm needs vLLM (pip install 'trl[vllm]'): {error}") from error
        self._llm = LLM(model=source)
        self._tokenizer = self._llm.get_tokenizer()
        self._chat_template_kwargs = chat_template_kwargs

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[list[Generated]]:
        """All requests of one call, each with a seed of its own; each response as soon as the engine ends it.

        Raises:
            ValueError: a prompt that leaves no room in the context.
        """
        from vllm import SamplingParams

        from oger.evaluation.backends.transformers import encode_prompt

        prompts = [encode_prompt(self._tokenizer, request.prompt, self._chat_template_kwargs) for request in requests]
        self._check_room(requests, prompts)
        options = [
            SamplingParams(
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_tokens=settings.max_tokens,
                seed=derived_seed(settings.seed, request.problem, request.sample),
            )
            for request in requests
        ]
        # LLM.generate would hand nothing over before the last response of the call, and a kill would lose them all.
        ids = self._llm.enqueue([{"prompt_token_ids": prompt} for prompt in prompts], options, use_tqdm=False)
        # The engine adds "-" and random characters to an id that its outputs name without them.
        waiting = {name.partition("-")[0]: request for name, request in zip(ids, requests, strict=True)}
        try:
            while waiting:
                ended = [output for output in self._llm.llm_engine.step() if output.finished]
                if ended:
                    yield [_generated(waiting.pop(output.request_id), output.outputs[0]) for output in ended]
        finally:
            if waiting:  # the caller left early
                self._llm.llm_engine.abort_request(list(waiting))

    def _check_room(self, requests: Sequence[Request], prompts: Sequence[Sequence[int]]) -> None:
        """The engine's own error is no ValueError, and does not know the problem."""
        context = int(self._llm.llm_engine.model_config.max_model_len)
        for request, prompt in zip(requests, prompts, strict=True):
            if len(prompt) >= context:
                has = f"the prompt of problem {request.problem} has {len(prompt)} tokens"
                raise ValueError(f"{has}; the model's context is {context}")


def _generated(request: Request, output: Any) -> Generated:
    reason = str(output.finish_reason or "unknown")
    return Generated(request.problem, request.sample, output.text, len(output.token_ids), reason)
