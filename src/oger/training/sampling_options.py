"""Options of sampling with which tokens are not drawn from softmax(logits / temperature), a run's and a policy's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_NEUTRAL: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "top_p": (1.0, None), "top_k": (0, None), "min_p": (None, 0.0), "top_h": (None,), "typical_p": (1.0, None),
        "epsilon_cutoff": (0.0, None), "eta_cutoff": (0.0, None), "repetition_penalty": (1.0, None),
        "encoder_repetition_penalty": (1.0, None), "no_repeat_ngram_size": (0, None), "bad_words_ids": (None, []),
        "suppress_tokens": (None, []), "begin_suppress_tokens": (None, []), "sequence_bias": (None,),
        "guidance_scale": (None, 1, 1.0), "min_length": (0, None), "min_new_tokens": (None, 0),
        "forced_bos_token_id": (None,), "forced_eos_token_id": (None,), "exponential_decay_length_penalty": (None,),
        "watermarking_config": (None,), "num_beams": (1, None), "penalty_alpha": (None, 0.0),
    }
)  # fmt: skip
"""Option of transformers' generation -> the values that leave the distribution as it is."""


def check_options(asked: Mapping[str, Any]) -> None:
    """Raises ValueError, which names it, if one of a run's options makes entropies those of another distribution."""
    for name, allowed in _NEUTRAL.items():
        if name in asked and asked[name] not in allowed:
            raise ValueError(_refusal(f"{name}={asked[name]!r}", f"Set {name}={allowed[0]}"))


def check_policy(asked: Any, of_policy: Any) -> None:
    """The same of a policy's generation configuration, which gives what the run leaves open.

    Args:
        asked: generation configuration of the run; None in it is left open.
        of_policy: the one that came with the policy.

    Raises:
        ValueError: it names the option.
    """
    for name, allowed in _NEUTRAL.items():
        value = getattr(of_policy, name, None)
        if getattr(asked, name, None) is None and value not in allowed:
            told = f"{name}={value!r} of the policy's generation configuration"
            raise ValueError(_refusal(told, f"Take {name} out of it (generation_config.json)"))


def _refusal(option: str, remedy: str) -> str:
    return (
        f"{option} cannot be combined with a reward or a weight that reads entropies: tokens are then drawn from "
        f"another distribution than the one whose entropy is recorded. {remedy}, or entropy_reduction=none and no "
        "other reader of entropies."
    )
