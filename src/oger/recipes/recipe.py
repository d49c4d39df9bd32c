"""A recipe: one flat YAML file that describes one run.

The keys of `OWN_KEYS` belong to the runner and are checked here. Every other key is a field of `OGERConfig` and
handed to it unchanged; `oger.training.run.options` checks them, so that a recipe is read without torch.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from oger.io import yaml as yaml_dialect
from oger.io.models import Count, Flag, Listed, Must, Named, Number, Seconds, Text, Whole, checked
from oger.io.secrets import find_secrets
from oger.io.whole import write_text
from oger.recipes.methods import all_methods, is_file, load_method, method_keys
from oger.recipes.paths import moved_paths
from oger.verification.formats import ANSWER_RULES
from oger.words import choose, did_you_mean


class RecipeError(ValueError):
    """A recipe that cannot be used; the message is one line that says what to do."""


def _answer_rule(name: Any) -> Any:
    choose(ANSWER_RULES, name, "answer rule")
    return name


_Sources = Annotated[dict[str, Text], Must("map names to sources, as in {id: world:arithmetic/test};"), Named]
_Rewards = Annotated[tuple[Text, ...], Must("be a list of reward names,", len), Listed]
_Rule = Annotated[str, BeforeValidator(_answer_rule)]
_Rules = Annotated[tuple[_Rule, ...], Must("be a list of answer rules,", len), Listed]
_Kinds = Annotated[tuple[Text, ...], Must("be a list of package.module:function,")]
_Method = Annotated[Text, AfterValidator(lambda name: load_method(name).name)]
_Teachers = Annotated[
    Whole | Annotated[tuple[Text, ...], Field(min_length=1)] | None,
    Must("be a list of teachers' names or how many of them,", parts=False),
]
_First = Annotated[dict[Any, Any], Must("map recipe keys to values, as in {method: sft, max_steps: 60};", len)]
_Share = Annotated[float, Field(strict=True, ge=0, lt=1), Must("be a share of at least 0 and below 1,")]
_Lora = Annotated[dict[Any, Any], Must("map arguments of LoraConfig to values, as in {r: 16};")]
_Alarms = Annotated[dict[str, Any], Must("map alarms to thresholds, as in {truncated: 0.5};"), Named]
_Empty = BeforeValidator(lambda value: "" if value is None else value)
_Line = Annotated[Text | Literal[""], Must("be a text,", parts=False), _Empty]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(use_attribute_docstrings=True))
class Recipe:
    """A checked recipe: the runner's own keys as fields, everything for `OGERConfig` in `training`."""

    name: str
    """File name without its suffix."""
    model: Text
    """Folder, hub id, or "world:NAME" for the base policy of a world."""
    train: Text
    """Source of the training rows; see `oger.io.rows`."""
    validation: Text | None = None
    """Source of the rows that choose the best checkpoint; None = no validation."""
    test: _Sources = dataclasses.field(default_factory=dict)
    """Name -> source of the sets evaluated before and after training."""
    rewards: _Rewards = ("accuracy",)
    """Registered names or "package.module:function"; the first one is the outcome."""
    answer_rules: _Rules = ("last_boxed",)
    """Where the reward "accuracy" finds the answer; see `oger.verification.formats`."""
    kinds: _Kinds = ()
    """Kinds of your own, as "package.module:function", that rows may name; see `oger.verification.kinds`."""
    verify_timeout: Seconds = 5.0
    """Deadline of each answer, seconds; one that overruns it is undecided."""
    method: _Method | None = None
    """A method by name (`oger methods`); its options stand below the keys that the recipe sets."""
    teachers: _Teachers = None
    """Teachers that take part: names, or how many of those with most trajectories; None = all."""
    first: _First | None = None
    """Recipe keys of a stage that is trained before, into RUN/first; its best policy is where this one starts."""
    first_above: _Share | None = None
    """The first stage is trained only where more than this share of prompts has no correct rollout; None = always."""
    peft: _Lora | None = None
    """Arguments of peft's LoraConfig; None trains all weights."""
    processes: Whole | None = None
    """Processes, one per GPU, that the batch is made for; a run of another number is refused. None = any number."""
    keep_last: Whole = 2
    """Checkpoints kept."""
    max_generated_tokens: Whole | None = None
    """Training ends at the step in which the policy has generated so many tokens; None = max_steps alone decides."""
    max_train_seconds: Seconds | None = None
    """Training ends at the step in which so many seconds of training have passed, validation left out."""
    rollouts_every: Count = 10
    """Steps from one Parquet file of rollouts to the next; 0 = none, and no probes."""
    probe_prompts: Count = 4
    """Training prompts sampled again at step 0 and every `rollouts_every` steps, for the report's map; 0 = none."""
    profile: Flag = False
    """Record two steps as a Chrome trace and a table of the largest costs, in RUN/profile."""
    eval_samples: Whole = 8
    """Samples per problem of the evaluation before and after."""
    eval_limit: Whole | None = None
    """Problems per test set; None = all."""
    eval_temperature: Number = 1.0
    """Sampling temperature of the evaluation before and after."""
    validation_limit: Whole | None = None
    """Problems of the validation set; None = all."""
    alarms: _Alarms = dataclasses.field(default_factory=dict)
    """Alarm -> another threshold, or null to silence it; see `oger.runs.alarms`."""
    description: _Line = ""
    """One line for `oger recipes`."""
    training: dict[str, Any] = dataclasses.field(default_factory=dict)
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

MANAGED = {
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


def load_recipe(path_or_name: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe file, or a shipped recipe by name, and apply "key=value" overrides (the last one wins).

    The name of a method stands for the recipe quickstart with that method.

    Raises:
        RecipeError: anything that makes the recipe unusable, its training keys left out.
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
    if _is_saved_run(path_or_name) and isinstance(document.get("output_dir"), str):
        document = moved_paths(document, os.path.dirname(path_or_name))
    document = apply_overrides(document, dict(_parse_override(override) for override in overrides))
    return make_recipe(document, name=name)


def _is_saved_run(path: str | os.PathLike[str]) -> bool:
    """Whether a recipe is the one that a run saved in its folder."""
    folder, name = os.path.split(path)
    beside = (os.path.join(folder, other) for other in ("started.yaml", "environment.json"))
    return name == "config.yaml" and any(os.path.isfile(file) for file in beside)


def apply_overrides(document: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's mapping with keys set anew; another `method` first forgets every key that belongs to a method."""
    if "method" in overrides:
        document = {key: value for key, value in document.items() if key not in method_keys()}
    return {**document, **overrides}


def make_recipe(document: Mapping[str, Any], *, name: str) -> Recipe:
    """The recipe that a flat mapping describes; see `load_recipe`."""
    if found := next(find_secrets(document), None):
        raise RecipeError(
            f"{found} holds what looks like a secret, and a recipe is saved with the run: leave it out and set an "
            "environment variable, such as HF_TOKEN for the hub"
        )
    if isinstance(method := document.get("method"), str):
        document = {**load_method(method).options, **document}
        if is_file(method):  # its keys are the recipe's own from here on, so that a run needs the file no more
            document["method"] = None
    if managed := next((key for key in document if key in MANAGED), None):
        raise RecipeError(f"{managed} cannot be set in a recipe: {MANAGED[managed]}")
    own = {key: value for key, value in document.items() if key in OWN_KEYS}
    training = {str(key): value for key, value in document.items() if key not in OWN_KEYS}
    folder = training.get("output_dir") or os.path.join("runs", name)
    training["output_dir"] = os.path.expanduser(folder) if isinstance(folder, str) else folder
    recipe = checked(lambda: Recipe(name=name, training=training, **own), RecipeError, "the recipe")
    if recipe.first_above is not None and recipe.first is None:
        raise RecipeError("first_above has no effect without a first stage: set first, or leave it out")
    return recipe


def dump_recipe(recipe: Recipe, path: str | os.PathLike[str]) -> None:
    """Write the resolved recipe, every own key included, so that `load_recipe` of that file gives it back."""
    write_text(Path(path), yaml_dialect.dump(recipe.document))


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    folder = resources.files("oger.recipes")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """A shipped recipe as it stands in its file, comments included."""
    if name not in recipe_names():
        meant = did_you_mean(name, recipe_names())
        raise RecipeError(f"no shipped recipe {name!r}{meant or ':'} {', '.join(recipe_names())}")
    return resources.files("oger.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


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
