"""From a recipe to a trainer: data, rewards, model and options, checked in this order before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from datasets import Dataset
from httpx2 import HTTPError
from transformers.integrations import get_available_reporting_integrations
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from oger.io.pretrained import is_adapter, load_tokenizer, tokenizer_source
from oger.recipes.recipe import Recipe
from oger.runs.paths import CHECKPOINTS
from oger.runs.policy import base_of, model_source
from oger.teachers.table.column import only_teachers
from oger.terminal.errors import one_line
from oger.training.config import OGERConfig
from oger.training.loop.data import outcome_index
from oger.training.run.adapters import check_continues, continued, lora_config
from oger.training.run.hub import hub_line
from oger.training.run.rows import Rows, RunData, look_at_answers, read_data, reward_functions
from oger.training.trainer import OGERTrainer
from oger.words import did_you_mean

_VALIDATE_EVERY = 25  # steps, where a recipe names a validation set and no interval


@dataclass(frozen=True)
class Start:
    """What a run starts from, checked without its weights."""

    rewards: list[Any]
    args: OGERConfig
    train: Dataset
    validation: Dataset | None
    model: str
    """What transformers loads."""
    tokenizer: Any
    lora: Any
    """A LoraConfig; None = all weights are trained."""
    notes: tuple[str, ...]
    """Lines about the data that the user should see."""


def check_start(recipe: Recipe, data: RunData | None = None, notes: tuple[str, ...] | None = None) -> Start:
    """Everything about a run that can be known before its policy is loaded, but for what `OGERTrainer` checks itself.

    The data are read, and their answers looked at, unless they and what was found are given.

    Raises:
        ValueError: on data, rewards or options that cannot be used; one line that says what to do.
        FileNotFoundError: if the model folder does not exist.
    """
    rewards = reward_functions(recipe)
    args = run_options(recipe)
    lora = lora_config(recipe.peft)
    data = data or read_data(recipe)
    rows = data.train
    notes = look_at_answers(recipe, rows) if notes is None else notes
    train = _dataset(recipe.train, rows if recipe.teachers is None else only_teachers(rows, recipe.teachers))
    validation = None if data.validation is None else _dataset(str(recipe.validation), data.validation)
    model = model_source(recipe.model)
    base = base_of(model)
    if base is not None:
        check_continues(model, recipe.peft)
    tokenizer = load_tokenizer(  # padded and truncated as TRL does
        tokenizer_source(model, base),
        padding_side="left",
        truncation_side="left",
        trust_remote_code=args.trust_remote_code,
    )
    return Start(rewards, args, train, validation, model, tokenizer, lora, notes)


def build_trainer(
    recipe: Recipe, data: RunData | None = None, *, say: Callable[[str], None] = lambda line: None
) -> OGERTrainer:
    """The trainer that a recipe describes.

    Args:
        data: of the run; read unless they are given.
        say: takes lines about the data, before the policy is loaded.

    Raises:
        ValueError, FileNotFoundError: see `check_start`.
    """
    start = check_start(recipe, data)
    for line in start.notes:
        say(line)
    sets = start.train, start.validation, start.tokenizer
    try:
        if is_adapter(start.model):
            policy = continued(start.model, start.args, as_adapter=recipe.peft is not None)
            return OGERTrainer(policy, start.rewards, start.args, *sets)
        return OGERTrainer(start.model, start.rewards, start.args, *sets, peft_config=start.lora)
    except (OSError, ImportError, HTTPError) as error:  # weights, a package or the hub that are not there
        if start.args.push_to_hub and not isinstance(error, ImportError):
            raise ValueError(hub_line(error)) from error
        raise ValueError(f"cannot start: {one_line(error)}") from error
    except RuntimeError as error:
        if not start.args.use_vllm:
            raise
        raise ValueError(f"cannot start vLLM: {one_line(error)}") from error


def outcome_function(recipe: Recipe) -> Callable[..., Any]:
    """The reward function that is the outcome of this recipe."""
    functions = reward_functions(recipe)
    names = [function.__name__ for function in functions]
    return functions[outcome_index(names, recipe.training.get("outcome_reward"))]


def run_options(recipe: Recipe) -> OGERConfig:
    """`OGERConfig` of a run folder: checkpoints below it, a metrics row per step, no bars but the run's own."""
    options: dict[str, Any] = {
        "report_to": "none",
        **recipe.training,
        "output_dir": str(recipe.output_dir / CHECKPOINTS),
        "record_dir": str(recipe.output_dir),
        "rollouts_every": recipe.rollouts_every,
        "save_total_limit": recipe.keep_last,
        "logging_steps": 1,
        "disable_tqdm": True,
    }
    if recipe.validation:
        options.setdefault("eval_strategy", "steps")
        options.setdefault("eval_steps", _VALIDATE_EVERY)
    else:
        options["eval_strategy"] = "no"
    trackers = options["report_to"] or []
    for tracker in [trackers] if isinstance(trackers, str) else trackers:
        if tracker not in ("none", "all", *get_available_reporting_integrations()):
            if tracker in INTEGRATION_TO_CALLBACK:
                raise ValueError(f"report_to: the tracker {tracker!r} is not installed.")
            known = ("none", *INTEGRATION_TO_CALLBACK)
            raise ValueError(f"report_to: unknown tracker {tracker!r}{did_you_mean(str(tracker), known)}")
    return OGERConfig(**options)


def _dataset(source: str, rows: Rows) -> Dataset:
    try:
        return Dataset.from_list(rows)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(
            f"{source}: a column holds values of different types, for example text in one row and a number in another "
            f"({one_line(error)}): write them all in one way."
        ) from error
