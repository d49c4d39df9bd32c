"""The policy that a command names: a run's, a model folder, a hub id, or the base policy of a world."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oger.io.rows import WORLD_PREFIX, world_name
from oger.recipes import Recipe, load_recipe
from oger.terminal.errors import UserError

_CONFIG = "config.yaml"
_HUB_ID = re.compile(r"^[\w-][\w.-]*/[\w.-]+$")


@dataclass(frozen=True)
class PolicyLocation:
    """Where a policy lies and what is known about it."""

    label: str
    """For titles, such as "runs/a (best)"."""
    source: str
    """What transformers loads: a folder or a hub id."""
    recipe: Recipe | None
    """Of the run that made the policy."""
    world: str | None
    """World whose prompts the policy reads, where that is known."""


def locate_policy(target: str, checkpoint: str = "last") -> PolicyLocation:
    """Find the policy of `target`, without loading it.

    Raises:
        UserError: no such run, checkpoint or model.
    """
    if checkpoint not in ("last", "best") and not checkpoint.isdecimal():
        raise UserError(f"--checkpoint must be last, best or a step number, got {checkpoint!r}")
    folder = Path(target)
    if (folder / _CONFIG).is_file():
        recipe = load_recipe(folder / _CONFIG)
        source = _of_run(folder, checkpoint)
        return PolicyLocation(f"{target} ({checkpoint})", str(source), recipe, world_name(recipe.train))
    if checkpoint != "last":
        raise UserError(f"--checkpoint {checkpoint} needs a run folder; {target} holds no {_CONFIG}")
    if target.startswith(WORLD_PREFIX):
        from oger.worlds import load_world

        name = target.removeprefix(WORLD_PREFIX)
        return PolicyLocation(target, str(load_world(name).base_policy()), None, name)
    if _is_model(folder):
        return PolicyLocation(target, target, None, None)
    if folder.exists():
        raise UserError(f"{target} is neither a run folder (no {_CONFIG}) nor a model folder (no config.json)")
    if not _HUB_ID.match(target):
        raise UserError(f"no run or model at {target}; a model of the hub is named OWNER/NAME")
    return PolicyLocation(target, target, None, None)


def load_policy(location: PolicyLocation) -> tuple[Any, Any]:
    """Model, in evaluation mode on the GPU where there is one, and tokenizer. Code inside a model folder is not run.

    Raises:
        UserError: the files are missing or broken, or the hub does not have them.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    source = location.source
    try:
        if (Path(source) / "adapter_config.json").is_file():
            from peft import AutoPeftModelForCausalLM

            model = AutoPeftModelForCausalLM.from_pretrained(source, dtype="auto")
            base = model.peft_config["default"].base_model_name_or_path
            has_tokenizer = (Path(source) / "tokenizer_config.json").is_file()
            tokenizer = AutoTokenizer.from_pretrained(source if has_tokenizer else base, trust_remote_code=False)
        else:
            model = AutoModelForCausalLM.from_pretrained(source, dtype="auto", trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the policy {location.label}: {error}") from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def max_new_tokens(location: PolicyLocation, default: int = 1024) -> int:
    """Length limit of responses: the recipe's, else the world's, else `default`."""
    limit = location.recipe.training.get("max_completion_length") if location.recipe else None
    if limit is None and location.world is not None:
        from oger.worlds import load_world

        limit = load_world(location.world).max_completion_length
    return int(limit or default)


def _of_run(run: Path, checkpoint: str) -> Path:
    checkpoints = {
        int(path.name.removeprefix("checkpoint-")): path
        for path in (run / "checkpoints").glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdecimal() and _is_model(path)
    }
    if checkpoint == "last" and not _is_model(run / "model") and checkpoints:
        return checkpoints[max(checkpoints)]
    if checkpoint.isdecimal():
        if int(checkpoint) not in checkpoints:
            have = ", ".join(str(step) for step in sorted(checkpoints)) or "none"
            raise UserError(f"{run} has no checkpoint of step {checkpoint}; it has: {have}")
        return checkpoints[int(checkpoint)]
    path = run / ("model" if checkpoint == "last" else "best")
    if not _is_model(path):
        raise UserError(f"{run} has no {checkpoint} policy yet ({path} is not a model folder)")
    return path


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file()
