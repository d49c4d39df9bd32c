"""A run that starts from an adapter: the adapter is trained on (`peft`), or all weights of the merged model are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig
from trl.trainer.utils import create_model_from_path

from oger.io.objects import read_object
from oger.io.pretrained import ADAPTER, on_base
from oger.runs.policy import base_of
from oger.training.config import OGERConfig
from oger.training.ranges import LORA_RANGES


def lora_config(arguments: Mapping[str, Any] | None) -> Any:
    """The LoraConfig that a recipe's `peft` describes; None where it describes none.

    Raises:
        ValueError: an argument that does not exist, or with which an adapter could learn nothing.
    """
    if arguments is None:
        return None
    try:
        config = LoraConfig(**arguments)
    except TypeError as error:
        raise ValueError(f"peft: {error}") from error
    for name, allowed in LORA_RANGES.items():
        value = getattr(config, name)
        if not isinstance(value, int | float) or not allowed.holds(value):
            raise ValueError(f"peft: {name}={value!r} must be {allowed}.")
    return config


def check_stages(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> None:
    """Whether an adapter that a first stage trains is of the form that the second one trains on.

    Raises:
        ValueError: it would not be, or one of them is no adapter that can be trained.
    """
    has, asked = lora_config(first), lora_config(second)
    for key in (second or {}) if has is not None else ():
        if _plain(getattr(has, key)) != _plain(getattr(asked, key)):
            raise ValueError(
                f"peft: the first stage trains an adapter with {key}={getattr(has, key)!r}, and the recipe asks for "
                f"{getattr(asked, key)!r}: ask for the same in both, or leave peft out of one of them."
            )


def check_continues(adapter: str, asked: Mapping[str, Any] | None) -> None:
    """Whether the adapter in a folder is of the form that a recipe's `peft` asks for.

    Raises:
        ValueError: it is not; names what differs.
    """
    has = read_object(Path(adapter) / ADAPTER)
    for key, value in (asked or {}).items():
        is_known = has.get(key) is not None and not (isinstance(value, str) and isinstance(has[key], list))
        if is_known and _plain(has[key]) != _plain(value):  # "all-linear" is stored as the list of its modules
            raise ValueError(
                f"peft: the adapter {adapter} has {key}={has[key]!r}, and the recipe asks for {value!r}: ask for the "
                f"same to train it on, leave peft out to train all weights, or merge it first (oger merge {adapter})."
            )


def continued(adapter: str, args: OGERConfig, *, as_adapter: bool) -> Any:
    """The policy of an adapter's folder, loaded as TRL loads one by its name.

    Args:
        as_adapter: train the adapter on; otherwise it is merged into its base, and all weights are trained.
    """
    given: Any = args.model_init_kwargs or {}
    options = {"trust_remote_code": args.trust_remote_code, **given}

    def load(base: str) -> Any:
        return create_model_from_path(base, **options)

    policy = on_base(adapter, load, base=base_of(adapter), is_trainable=as_adapter)
    return policy if as_adapter else policy.merge_and_unload().requires_grad_(True)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list | tuple | set) else value
