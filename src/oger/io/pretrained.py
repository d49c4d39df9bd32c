"""Tokenizers and policies as transformers loads them, from a folder or the hub. Code in a model's folder is not run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from oger.io.local import looks_local, meant
from oger.io.objects import read_object
from oger.terminal.errors import UserError, one_line

ADAPTER = "adapter_config.json"
_LONGEST_REASON = 300  # characters; what the hub says may be a page


def load_tokenizer(source: str, *, label: str | None = None, **options: Any) -> Any:
    """The tokenizer of a folder or hub id.

    Args:
        label: what the user calls `source`.
        options: of `AutoTokenizer.from_pretrained`.

    Raises:
        UserError: there is none that can be loaded; one line.
    """
    from transformers import AutoTokenizer

    if looks_local(source) and not Path(source).expanduser().is_dir():
        raise UserError(f"cannot load the tokenizer {label or source!r}: the folder does not exist{meant(source)}")
    # Whatever the hub, the network or the files raise, the user's question is the same: why not this tokenizer?
    try:
        return AutoTokenizer.from_pretrained(source, **{"trust_remote_code": False, **options})
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error, _LONGEST_REASON)}"
        raise UserError(f"cannot load the tokenizer {label or source!r}: {reason}") from error


def load_policy(source: str, *, label: str | None = None, base: str | None = None) -> tuple[Any, Any]:
    """Model, in evaluation mode on the GPU where there is one, and tokenizer; an adapter stands on its base model.

    Args:
        source: folder or hub id.
        label: what the user calls it.
        base: of an adapter, where it is not the one that its folder names.

    Raises:
        UserError: the files are missing or broken, or the hub does not have them; one line.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()

    def load(folder: str) -> Any:
        return AutoModelForCausalLM.from_pretrained(folder, dtype="auto", trust_remote_code=False)

    try:
        model = on_base(source, load, base=base) if is_adapter(source) else load(source)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the policy {label or source}: {one_line(error)}") from error
    tokenizer = load_tokenizer(tokenizer_source(source, base), label=label)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def on_base(adapter: str, load: Callable[[str], Any], *, base: str | None = None, is_trainable: bool = False) -> Any:
    """The `PeftModel` of an adapter's folder: its base model, as `load` loads it, and the adapter on it.

    Raises:
        UserError: the base model is not there.
    """
    from peft import PeftModel

    base = base or adapter_base(adapter)
    if looks_local(base) and not Path(base).is_dir():
        raise UserError(f"the adapter {adapter} stands on {base}, which is not there{meant(base)}")
    return PeftModel.from_pretrained(load(base), adapter, is_trainable=is_trainable)


def adapter_base(adapter: str) -> str:
    """Folder or hub id of the model that an adapter's folder says it stands on.

    Raises:
        UserError: the folder does not say.
    """
    try:
        base = read_object(Path(adapter) / ADAPTER).get("base_model_name_or_path")
    except (OSError, ValueError) as error:
        raise UserError(f"{Path(adapter) / ADAPTER} cannot be read: {one_line(error)}") from error
    if not isinstance(base, str) or not base:
        raise UserError(f"{Path(adapter) / ADAPTER} names no base_model_name_or_path")
    return base


def tokenizer_source(source: str, base: str | None = None) -> str:
    """Where the tokenizer of a policy is: beside an adapter, or beside its base model."""
    if not is_adapter(source) or (Path(source) / "tokenizer_config.json").is_file():
        return source
    return base or adapter_base(source)


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model or an adapter."""
    return (folder / "config.json").is_file() or (folder / ADAPTER).is_file()


def positions(config: Any) -> int | None:
    """Tokens that a policy can read at once, by its configuration; None where it says none.

    A policy of images or sound has them in the configuration of its language part.
    """
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def is_adapter(source: str) -> bool:
    """Whether a source is the folder of an adapter, whose weights are those of its base model and a difference."""
    return (Path(source) / ADAPTER).is_file()


def with_commit(hub_id: str) -> str:
    """OWNER/NAME@COMMIT, of the hub or, where it cannot be reached, of the snapshot in its cache.

    Raises:
        UserError: neither has it.
    """
    from transformers.utils.hub import cached_file, extract_commit_hash

    try:
        config = cached_file(hub_id, "config.json")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the model {hub_id}: {one_line(error, _LONGEST_REASON)}") from error
    commit = extract_commit_hash(config, None)
    return f"{hub_id}@{commit}" if commit else hub_id
