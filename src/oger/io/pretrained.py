"""Tokenizers and policies as transformers loads them, from a folder or the hub. Code in a model's folder is not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oger.io.local import looks_local, meant
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


def load_policy(source: str, *, label: str | None = None) -> tuple[Any, Any]:
    """Model, in evaluation mode on the GPU where there is one, and tokenizer; an adapter stands on its base model.

    Raises:
        UserError: the files are missing or broken, or the hub does not have them; one line.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    base = source
    try:
        if is_adapter(source):
            from peft import AutoPeftModelForCausalLM

            model = AutoPeftModelForCausalLM.from_pretrained(source, dtype="auto")
            if not (Path(source) / "tokenizer_config.json").is_file():
                base = model.peft_config["default"].base_model_name_or_path
        else:
            model = AutoModelForCausalLM.from_pretrained(source, dtype="auto", trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the policy {label or source}: {one_line(error)}") from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), load_tokenizer(base, label=label)


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model or an adapter."""
    return (folder / "config.json").is_file() or (folder / ADAPTER).is_file()


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
