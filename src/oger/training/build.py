"""From a recipe to a trainer: data, rewards, model and options, checked in this order before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from oger.method.options import choose
from oger.recipes.recipe import Recipe
from oger.recipes.sources import WORLD_PREFIX, load_rows
from oger.training.config import OGERConfig
from oger.training.trainer import OGERTrainer
from oger.worlds import load_world

REWARDS: Mapping[str, str] = {
    "accuracy": "oger.verification.rewards:accuracy_reward",
    "format": "oger.verification.rewards:format_reward",
}
"""Reward functions that a recipe can name; any other is written "package.module:function"."""

_NEEDED_COLUMNS: Mapping[str, tuple[str, ...]] = {"accuracy": ("answer",)}
_VALIDATE_EVERY = 25  # steps, where a recipe names a validation set and no interval


def build_trainer(recipe: Recipe) -> OGERTrainer:
    """The trainer that a recipe describes.

    Raises:
        ValueError: on data, rewards or options that cannot be used; one line that says what to do.
        FileNotFoundError: if the model folder does not exist.
    """
    train_rows = load_rows(recipe.train)
    validation_rows = load_rows(recipe.validation, recipe.validation_limit) if recipe.validation else None
    for source, rows in ((recipe.train, train_rows), (recipe.validation, validation_rows or [])):
        for reward in recipe.rewards:
            _require_columns(str(source), rows, ("prompt", *_NEEDED_COLUMNS.get(reward, ())))
    rewards = [reward_function(name) for name in recipe.rewards]
    args = run_options(recipe)
    model = model_source(recipe.model)
    return OGERTrainer(
        model=model,
        reward_funcs=rewards,
        args=args,
        train_dataset=Dataset.from_list(train_rows),
        eval_dataset=None if validation_rows is None else Dataset.from_list(validation_rows),
        processing_class=load_tokenizer(model, trust_remote_code=args.trust_remote_code),
        peft_config=_lora(recipe.peft),
    )


def run_options(recipe: Recipe) -> OGERConfig:
    """`OGERConfig` of a run folder: checkpoints below it, a metrics row per step, no bars but the run's own."""
    options: dict[str, Any] = {
        "report_to": "none",
        "dataloader_pin_memory": torch.cuda.is_available(),
        **recipe.training,
        "output_dir": str(recipe.output_dir / "checkpoints"),
        "record_dir": str(recipe.output_dir),
        "rollouts_every": recipe.rollouts_every,
        "save_total_limit": recipe.keep_last,
        "logging_steps": 1,
        "disable_tqdm": True,
    }
    if recipe.validation:
        options.setdefault("eval_strategy", "steps")
        options.setdefault("eval_steps", _VALIDATE_EVERY)
    return OGERConfig(**options)


def reward_function(name: str) -> Callable[..., Any]:
    """The reward function of that name, or the one at "package.module:function".

    Raises:
        ValueError: if there is none.
    """
    module, _, function = (name if ":" in name else choose(REWARDS, name, "reward")).partition(":")
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"reward {name!r} cannot be imported: {error}") from error


def model_source(model: str) -> str:
    """Folder or hub id of a recipe's model; "world:NAME" is the base policy of that world.

    Raises:
        FileNotFoundError: if the model is written as a path and no such folder exists.
    """
    if model.startswith(WORLD_PREFIX):
        return str(load_world(model.removeprefix(WORLD_PREFIX)).base_policy())
    if model.startswith((".", "/", "~")) and not Path(model).expanduser().is_dir():
        raise FileNotFoundError(f"model: the folder {model} does not exist")
    return str(Path(model).expanduser()) if Path(model).expanduser().is_dir() else model


def load_tokenizer(source: str, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Tokenizer that pads and truncates on the left, as TRL loads it.

    Raises:
        ValueError: if neither the folder nor the hub gives one.
    """
    try:
        return AutoTokenizer.from_pretrained(
            source, padding_side="left", truncation_side="left", trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"model: cannot load a tokenizer from {source}: {str(error).splitlines()[0]}") from error


def _require_columns(source: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    for column in columns if rows else ():
        if column not in rows[0]:
            have = sorted(rows[0])
            near = get_close_matches(column, have, n=1, cutoff=0.6)
            hint = f"; rename {near[0]!r} to {column!r}" if near else f"; it has {', '.join(have)}"
            raise ValueError(f"{source} has no column {column!r}{hint}")


def _lora(arguments: Mapping[str, Any] | None) -> Any:
    if arguments is None:
        return None
    from peft import LoraConfig

    try:
        return LoraConfig(**arguments)
    except TypeError as error:
        raise ValueError(f"peft: {error}") from error
