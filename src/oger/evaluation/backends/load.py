"""The backends that load a policy themselves, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oger.evaluation.backends.base import Generator
from oger.io.pretrained import is_adapter, load_policy
from oger.terminal.errors import UserError

BACKENDS = ("transformers", "continuous", "vllm")
_VLLM_REQUESTS = 4096
"""Of one call; the engine makes its own batches of them."""


def load_generator(
    backend: str,
    source: str,
    label: str,
    batch_size: int,
    chat_template_kwargs: Mapping[str, Any],
    base: str | None = None,
) -> Generator:
    """The policy of a folder or hub id in one of `BACKENDS`.

    Args:
        label: what the user calls it.
        batch_size: responses generated at once; vLLM decides by itself.
        chat_template_kwargs: as in training.
        base: of an adapter, where it is not the one that its folder names.

    Raises:
        ValueError: it cannot be loaded there; one line.
    """
    if backend == "vllm":
        from oger.evaluation.backends.vllm import VllmGenerator

        if is_adapter(source):
            raise UserError(f"--backend vllm needs whole weights, and {label} is an adapter: oger merge {label}")
        return VllmGenerator(source, chat_template_kwargs=chat_template_kwargs)
    model, tokenizer = load_policy(source, label=label, base=base)
    if backend == "continuous":
        from oger.evaluation.backends.continuous import ContinuousGenerator

        return ContinuousGenerator(model, tokenizer, most_at_once=batch_size, chat_template_kwargs=chat_template_kwargs)
    from oger.evaluation.backends.transformers import TransformersGenerator

    return TransformersGenerator(model, tokenizer, batch_size=batch_size, chat_template_kwargs=chat_template_kwargs)


def requests_at_once(backend: str, batch_size: int) -> int | None:
    """Requests of one `generate` call; None = as many as there are."""
    return {"continuous": None, "vllm": _VLLM_REQUESTS}.get(backend, batch_size)
