"""Checks of options against data before a model is loaded, and the reading of the `teachers` column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from accelerate.logging import get_logger
from datasets import Dataset
from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerBase
from trl.data_utils import is_conversational

from oger.io.answers import ANSWER, answer_texts
from oger.io.pretrained import positions
from oger.io.rows import dataset_column
from oger.method.hybrid_group import CHOICES
from oger.teachers.table.column import COLUMN, TeacherCounts, normalise_teachers, require_column
from oger.teachers.table.turn import PolicyTurn, chat_turn, plain_turn, rendered_prompt
from oger.training.config import OGERConfig

logger = get_logger(__name__)

_ROTARY = ("rope_theta", "rope_parameters", "rope_scaling")  # of a configuration whose positions go on
_BEHIND_THINK = "after_think"  # the rule that finds nothing in a text without </think>
_PLAIN = "set teacher_rows=0 and exploration_weight=0 for plain GRPO"


def check_whole_groups(args: OGERConfig) -> None:
    """Raises ValueError if a rank's share of the rollout batch would split a group: its advantages need all G rows."""
    local_rows = args.per_device_train_batch_size * args.steps_per_generation
    if local_rows % args.num_generations:
        raise ValueError(
            f"groups would be split over ranks: per_device_train_batch_size x steps_per_generation = {local_rows} "
            f"is not a multiple of num_generations = {args.num_generations}. Change one of them."
        )


def check_guidance(train_dataset: Any, options: Mapping[str, Any]) -> None:
    """Raises ValueError if the training set, or another argument of the trainer, cannot go with teachers."""
    for name in ("tools", "environment_factory"):
        if options.get(name):
            raise ValueError(
                f"{name} cannot be combined with teacher rows or the exploration reward, whose trajectories are plain "
                f"text: leave it out, or {_PLAIN}."
            )
    if not isinstance(train_dataset, Dataset):
        raise ValueError(
            "teachers need a datasets.Dataset, since their trajectories are checked before training: load the stream "
            f"into a Dataset, or {_PLAIN}."
        )
    if len(train_dataset) == 0:
        raise ValueError("the training set is empty: give it at least one prompt.")
    if "prompt" not in train_dataset.column_names:
        raise ValueError(f"the training set has no column 'prompt'; it has {train_dataset.column_names}.")
    require_column(train_dataset.column_names)


def check_tokenizer(tokenizer: Any) -> None:
    """Raises ValueError if the tokenizer has no end-of-sequence token: no trajectory could end."""
    if getattr(tokenizer, "eos_token_id", None) is None:
        raise ValueError("the tokenizer has no end-of-sequence token: set tokenizer.eos_token before training.")


def read_answers(dataset: Any, reward_funcs: Any, which: str) -> Any:
    """The dataset with its gold answers as text, where one of the reward functions is OGER's own, which reads texts.

    Args:
        dataset: a `Dataset` or a mapping of them; anything else is left as it is.
        which: what errors call it.

    Raises:
        ValueError: an answer that is neither a text nor a number; names the row.
    """
    if isinstance(dataset, dict):
        return {name: read_answers(entry, reward_funcs, f"{which} {name}") for name, entry in dataset.items()}
    functions = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs]
    reads = any(ANSWER in getattr(function, "needed_columns", ()) for function in functions)
    if not reads or not isinstance(dataset, Dataset) or ANSWER not in dataset.column_names:
        return dataset
    given = dataset_column(dataset, ANSWER)
    texts = answer_texts(given, which)
    return dataset if texts == given else dataset.remove_columns(ANSWER).add_column(ANSWER, texts)


def check_batch(dataset: Any, args: OGERConfig) -> None:
    """Raises ValueError if the training set has fewer prompts than one rollout batch: no step would be taken."""
    prompts = args.generation_batch_size // args.num_generations
    if isinstance(dataset, Dataset) and len(dataset) < prompts:
        raise ValueError(
            f"the training set has {len(dataset)} prompts, and one rollout batch takes {prompts} "
            f"({args.generation_batch_size} rollouts in groups of {args.num_generations}): no step could be taken. Add "
            "prompts, or lower per_device_train_batch_size, gradient_accumulation_steps or steps_per_generation."
        )


def context_config(model: Any) -> Any:
    """The configuration of a policy, or of the one that a name or a folder stands for; no weights are read."""
    return AutoConfig.from_pretrained(model) if isinstance(model, str) else model.config


def check_all_prompts(train: Any, validation: Any, tokenizer: Any, args: OGERConfig, config: Any) -> None:
    """`check_prompts` of the training set and of the validation sets, where they are no streams."""
    named = validation if isinstance(validation, Mapping) else {"": validation}
    sets = {"training set": train} | {f"validation set {name}".rstrip(): rows for name, rows in named.items()}
    for which, rows in sets.items():
        if isinstance(rows, Dataset) and "prompt" in rows.column_names:
            check_prompts(rows, tokenizer, args, config, which=which)


def check_prompts(
    dataset: Dataset,
    tokenizer: Any,
    args: OGERConfig,
    config: Any,
    warn: Callable[[str], Any] = logger.warning,
    *,
    which: str = "training set",
) -> None:
    """Whether the policy can read every prompt and answer it at full length.

    Rotary positions go on beyond the context that a policy was trained with, so that they are worth a warning; learned
    ones do not.

    Args:
        dataset: with a column `prompt`.
        which: what lines call the set.

    Raises:
        ValueError: a text begins with the token that the tokenizer puts in front of it anyway, or there is no position
            left for a response; names the row.
    """
    context = positions(config)
    room = None if context is None else context - args.max_completion_length
    bos = (
        tokenizer.bos_token
        if tokenizer.bos_token and tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
        else None
    )
    longest, too_long = (0, 0), 0  # tokens and row of the longest prompt without room for its response
    for row, prompt in enumerate(dataset["prompt"]):
        if bos is not None and isinstance(prompt, str) and prompt.startswith(bos):
            raise ValueError(
                f"{which}, row {row}: the prompt begins with {bos}, and the tokenizer puts another in front of "
                "it: leave it out of the text."
            )
        text = rendered_prompt(prompt, tokenizer, args.chat_template_kwargs or {})
        if room is not None and len(text.encode()) >= room:  # a token is a byte at least, and one may be put in front
            tokens = len(tokenizer(text, add_special_tokens=isinstance(prompt, str))["input_ids"])
            too_long += tokens > room
            longest = max(longest, (tokens, -row)) if tokens > room else longest
    if not too_long:
        return
    others = f"; so do {too_long - 1} other rows. Leave them out," if too_long > 1 else ". Leave it out,"
    said = (
        f"{which}, row {-longest[1]}: a prompt of {longest[0]} tokens and max_completion_length="
        f"{args.max_completion_length} exceed the {context} positions of the policy{others} or lower "
        "max_completion_length."
    )
    if not any(name in config.get_text_config().to_dict() for name in _ROTARY):
        raise ValueError(said)
    warn(said)


def outcome_index(names: Sequence[str], wanted: str | None) -> int:
    """Place of the outcome among the reward functions: the one asked for, else one named `outcome`, else the first.

    Raises:
        ValueError: if the one asked for is not there.
    """
    if wanted is not None and wanted not in names:
        raise ValueError(f"outcome_reward={wanted!r} is not a reward function of this run: it has {', '.join(names)}.")
    return next((names.index(name) for name in (wanted, "outcome") if name in names), 0)


def stop_ids(model: Any) -> list[int]:
    """Tokens at which a policy, or the one that a name or a folder stands for, stops beside its end of sequence."""
    config = getattr(model, "generation_config", None)
    if isinstance(model, str):
        try:
            config = GenerationConfig.from_pretrained(model)
        except OSError:  # it has none, or is not there, of which the loading of the model will tell
            return []
    ids = getattr(config, "eos_token_id", None)
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


def outcome_rules(reward_funcs: Any, wanted: str | None) -> tuple[str, ...] | None:
    """By which rules the outcome reads the answer; None where its function does not say (`accuracy_with` says it)."""
    functions = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs]
    names = [getattr(function, "__name__", "") for function in functions]
    outcome = functions[outcome_index(names, wanted if wanted in names else None)] if functions else None
    return getattr(outcome, "answer_rules", None)


def policy_turn(
    dataset: Any,
    tokenizer: PreTrainedTokenizerBase,
    args: OGERConfig,
    stops: Sequence[int],
    rules: Sequence[str] | None = None,
) -> PolicyTurn:
    """The policy's turn after the prompts of a training set: of a chat where its teachers answer messages.

    Args:
        stops: as `stop_ids` gives them.
        rules: as `outcome_rules` gives them.

    Raises:
        ValueError: if the tokenizer has no end of sequence.
    """
    check_tokenizer(tokenizer)
    columns = getattr(dataset, "column_names", None) or []
    answered = isinstance(dataset, Dataset) and COLUMN in columns and len(dataset) > 0
    chat = answered and is_conversational({"prompt": dataset[0]["prompt"]})
    turn = chat_turn(tokenizer, stops, args.chat_template_kwargs) if chat else plain_turn(tokenizer, stops)
    return replace(turn, answers_behind_think=_BEHIND_THINK in (rules or ()))


def read_teachers(dataset: Any, turn: PolicyTurn, args: OGERConfig, *, required: bool) -> tuple[Any, TeacherCounts]:
    """The training set with usable trajectories only, and their counts.

    Args:
        dataset: a map-style training set; a stream loses the column, since nothing may ask for its teachers.
        args: the run's options; a run through TRL's own objective leaves the data as they are.
        required: whether a set without a single usable trajectory is an error.

    Raises:
        ValueError: if the teacher choice needs answers that are not there, or `required` and no trajectory is usable.
    """
    counts = TeacherCounts()
    if not args.needs_own_objective:
        return dataset, counts
    max_tokens = args.max_completion_length
    columns = getattr(dataset, "column_names", None) or []
    if "answer_logp_M" in CHOICES[args.teacher_choice].needs and "answer" not in columns:
        raise ValueError(
            f"teacher_choice={args.teacher_choice!r} needs the gold answers: add a column 'answer' (there are "
            f"{', '.join(columns) or 'none'})."
        )
    if isinstance(dataset, Dataset) and COLUMN in columns:
        dataset, counts = normalise_teachers(dataset, turn, max_tokens)
        logger.info(counts.describe())
    elif COLUMN in columns:
        dataset = dataset.remove_columns(COLUMN)
    if required and not counts.kept:
        raise ValueError(
            f"no usable teacher trajectory is left ({counts.describe()}): raise max_completion_length (now "
            f"{max_tokens} tokens) or check the column '{COLUMN}', or {_PLAIN}."
        )
    return dataset, counts
