"""A run that starts from an adapter: the adapter is trained on (`peft`), or all weights of the merged model are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trl.trainer.utils import create_model_from_path

from oger.io.objects import read_object
from oger.io.pretrained import ADAPTER, on_base
from oger.runs.policy import base_of
from oger.training.config import OGERConfig


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
        adapter: the folder.
        args: of the run.
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
