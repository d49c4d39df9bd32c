"""A recipe: one flat YAML file that describes one run.

The keys of `OWN_KEYS` belong to the runner; every other key is a field of `OGERConfig` and is handed to it unchanged.
An unknown key is an error that names the nearest valid one. Nothing here imports torch until a recipe is loaded with
its training keys checked.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from oger.io import yaml as yaml_dialect
from oger.io.secrets import find_secrets
from oger.recipes.checks import OWN_CHECKS, RecipeError
from oger.recipes.methods import all_methods, load_method, method_keys


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A checked recipe: the runner's own keys as fields, everything for `OGERConfig` in `training`."""

    name: str
    """File name without its suffix."""
    model: str
    """Folder, hub id, or "world:NAME" for the base policy of a world."""
    train: str
    """Source of the training rows; see `oger.io.rows`."""
    validation: str | None = None
    """Source of the rows that choose the best checkpoint; None = no validation."""
    test: Mapping[str, str] = field(default_factory=dict)
    """Name -> source of the sets evaluated before and after training."""
    rewards: tuple[str, ...] = ("accuracy",)
    """Registered names or "package.module:function"; the first one is the outcome."""
    answer_rules: tuple[str, ...] = ("last_boxed",)
    """Where the reward "accuracy" finds the answer; see `oger.verification.formats`."""
    kinds: tuple[str, ...] = ()
    """Kinds of your own, as "package.module:function", that rows may name; see `oger.verification.kinds`."""
    verify_timeout: float = 5.0
    """Deadline of each answer, seconds; one that overruns it is undecided."""
    method: str | None = None
    """A method by name (`oger methods`); its options stand below the keys that the recipe sets."""
    teachers: int | tuple[str, ...] | None = None
    """Teachers that take part: names, or how many of those with most trajectories; None = all."""
    first: Mapping[str, Any] | None = None
    """Recipe keys of a stage that is trained before, into RUN/first; its best policy is where this one starts."""
    first_above: float | None = None
    """The first stage is trained only where more than this share of prompts has no correct rollout; None = always."""
    peft: Mapping[str, Any] | None = None
    """Arguments of peft's LoraConfig; None trains all weights."""
    keep_last: int = 2
    """Checkpoints kept."""
    max_generated_tokens: int | None = None
    """Training ends at the step in which the policy has generated so many tokens; None = max_steps alone decides."""
    max_train_seconds: float | None = None
    """Training ends at the step in which so many seconds of training have passed, validation left out."""
    rollouts_every: int = 10
    """Steps from one Parquet file of rollouts to the next; 0 = none, and no probes."""
    probe_prompts: int = 4
    """Training prompts sampled again at step 0 and every `rollouts_every` steps, for the report's map; 0 = none."""
    profile: bool = False
    """Record two steps as a Chrome trace and a table of the largest costs, in RUN/profile."""
    eval_samples: int = 8
    """Samples per problem of the evaluation before and after."""
    eval_limit: int | None = None
    """Problems per test set; None = all."""
    eval_temperature: float = 1.0
    """Sampling temperature of the evaluation before and after."""
    validation_limit: int | None = None
    """Problems of the validation set; None = all."""
    alarms: Mapping[str, float | None] = field(default_factory=dict)
    """Alarm -> another threshold, or null to silence it; see `oger.runs.alarms`."""
    description: str = ""
    """One line for `oger recipes`."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `OGERConfig` as the recipe sets them, `output_dir` (the run folder) always among them."""

    @property
    def own(self) -> dict[str, Any]:
        """The runner's own keys with their values, defaults included."""
        return {key: getattr(self, key) for key in OWN_KEYS}

    @property
    def document(self) -> dict[str, Any]:
        """The flat mapping that `make_recipe` makes this recipe of."""
        own = {key: list(value) if isinstance(value, tuple) else value for key, value in self.own.items()}
        return {**own, **self.training}

    @property
    def output_dir(self) -> Path:
        """The run folder."""
        return Path(self.training["output_dir"])


OWN_KEYS = tuple(f.name for f in dataclasses.fields(Recipe) if f.name not in ("name", "training"))
"""Keys that the runner reads itself."""

_REQUIRED = ("model", "train")

_MANAGED = {
    "save_total_limit": "use keep_last",
    "save_only_model": "a checkpoint must hold what --resume needs",
    "logging_strategy": "metrics.jsonl has one row per optimiser step",
    "logging_first_step": "metrics.jsonl has one row per optimiser step",
    "resume_from_checkpoint": "use oger train --resume",
    "load_best_model_at_end": "RUN/best holds the best policy, RUN/model the last one",
    "enable_jit_checkpoint": "a run saves its last finished step on SIGTERM by itself",
    "hub_token": "set the environment variable HF_TOKEN; a recipe is saved with the run",
    "local_rank": "accelerate launch sets it",
    "record_dir": "rollouts are written to RUN/rollouts",
    "logging_steps": "metrics.jsonl has one row per step",
    "disable_tqdm": "the run shows its own progress",
}
"""Fields of OGERConfig that a recipe may not set, and what to do instead."""


def load_recipe(
    path_or_name: str | os.PathLike[str], overrides: Iterable[str] = (), *, check_training: bool = True
) -> Recipe:
    """Read a recipe file, or a shipped recipe by name, and apply "key=value" overrides (the last one wins).

    The name of a method stands for the recipe quickstart with that method.

    Args:
        check_training: whether keys and the types of numbers are compared with OGERConfig, which imports torch.

    Raises:
        RecipeError: anything that makes the recipe unusable.
    """
    if not os.path.isfile(path_or_name) and str(path_or_name) in all_methods():
        folder = os.path.join("runs", str(path_or_name))
        overrides = [f"method={path_or_name}", f"output_dir={folder}", *overrides]
        path_or_name = "quickstart"
    text, name = _read(path_or_name)
    try:
        document = yaml_dialect.load(text)
    except ValueError as error:
        raise RecipeError(f"{path_or_name}: {error}") from error
    if not isinstance(document, dict):
        raise RecipeError(f"{path_or_name} is not a recipe: it must hold lines of the form key: value")
    document = apply_overrides(document, dict(_parse_override(override) for override in overrides))
    return make_recipe(document, name=name, check_training=check_training)


def apply_overrides(document: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's mapping with keys set anew; another `method` first forgets every key that belongs to a method."""
    if "method" in overrides:
        document = {key: value for key, value in document.items() if key not in method_keys()}
    return {**document, **overrides}


def make_recipe(document: Mapping[str, Any], *, name: str, check_training: bool = True) -> Recipe:
    """The recipe that a flat mapping describes; see `load_recipe`."""
    if found := next(find_secrets(document), None):
        raise RecipeError(
            f"{found} holds what looks like a secret, and a recipe is saved with the run: leave it out and set an "
            "environment variable, such as HF_TOKEN for the hub"
        )
    if document.get("method") is not None:
        document = {**load_method(OWN_CHECKS["method"]("method", document["method"])).options, **document}
    hints = training_fields() if check_training else None
    own: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for key, value in document.items():
        if key in OWN_KEYS:
            own[key] = OWN_CHECKS[key](key, value)
        elif key in _MANAGED:
            raise RecipeError(f"{key} cannot be set in a recipe: {_MANAGED[key]}")
        elif hints is None:
            training[str(key)] = value
        elif key in hints:
            training[key] = _check_type(key, value, hints[key])
        else:
            raise RecipeError(f"unknown key {str(key)!r}; {_nearest(str(key), [*OWN_KEYS, *hints])}")
    missing = [key for key in _REQUIRED if key not in own]
    if missing:
        raise RecipeError(f"the recipe lacks {' and '.join(missing)}")
    if own.get("first_above") is not None and own.get("first") is None:
        raise RecipeError("first_above has no effect without a first stage: set first, or leave it out")
    if not training.get("output_dir"):
        training["output_dir"] = os.path.join("runs", name)
    return Recipe(name=name, training=training, **own)


def dump_recipe(recipe: Recipe, path: str | os.PathLike[str]) -> None:
    """Write the resolved recipe, every own key included, so that `load_recipe` of that file gives it back."""
    text = yaml_dialect.dump(recipe.document)
    temporary = Path(path).with_name(Path(path).name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    folder = resources.files("oger.recipes")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """A shipped recipe as it stands in its file, comments included."""
    if name not in recipe_names():
        raise RecipeError(f"no shipped recipe {name!r}; {_nearest(name, recipe_names())}")
    return resources.files("oger.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def training_fields() -> dict[str, Any]:
    """Name -> type of every field of OGERConfig; imports torch."""
    from oger.training.config import OGERConfig

    hints = typing.get_type_hints(OGERConfig)
    fields = [f for f in dataclasses.fields(OGERConfig) if f.init]
    return {f.name: hints[f.name] | None if f.default is None else hints[f.name] for f in fields}


def training_keys() -> list[str]:
    """Every key that a recipe may set beyond `OWN_KEYS`; imports torch."""
    return [key for key in training_fields() if key not in _MANAGED]


def _read(path_or_name: str | os.PathLike[str]) -> tuple[str, str]:
    path = Path(path_or_name)
    if os.path.isfile(path):
        try:
            return yaml_dialect.read_text(path), path.stem
        except ValueError as error:
            raise RecipeError(f"{path}: {error}") from error
    name = str(path_or_name)
    if name in recipe_names():
        return recipe_text(name), name
    what = "is a folder" if os.path.isdir(path) else "does not exist"
    raise RecipeError(
        f"the recipe {name} {what}; shipped recipes: {', '.join(recipe_names())}; methods on the embedded world: "
        f"{', '.join(all_methods())}"
    )


def _parse_override(override: str) -> tuple[str, Any]:
    key, sign, value = override.partition("=")
    if not sign or not key.strip():
        raise RecipeError(f"{override!r} is not of the form key=value")
    try:
        return key.strip(), yaml_dialect.load(value)
    except ValueError as error:
        raise RecipeError(f"the value of {key.strip()} is not YAML: {error}") from error


def _nearest(key: str, valid: Sequence[str]) -> str:
    return f"did you mean {difflib.get_close_matches(key.replace('-', '_'), valid, n=1, cutoff=0.0)[0]!r}?"


_TYPE_NAMES: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", type(None): "null"}


def _check_type(key: str, value: Any, hint: Any) -> Any:
    """`value`, where its type fits a field of numbers or truth values; other fields are left to OGERConfig."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if any(kind not in _TYPE_NAMES for kind in kinds) or type(value) in kinds:
        return value
    if float in kinds and type(value) is int:
        return value
    if int in kinds and isinstance(value, float) and value.is_integer():
        return int(value)  # max_steps: 1e3
    names = " or ".join(_TYPE_NAMES[kind] for kind in kinds)
    raise RecipeError(f"{key} must be {names}, got {value!r}")
