"""The policies that a command names: found, loaded, told from others, and made ready to be evaluated.

A target is a run (RUN, RUN@last, RUN@best, RUN@STEP), a model folder, a hub id, world:NAME, or a model at an endpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from oger.evaluation.backends.base import PromptForm
from oger.evaluation.backends.load import BACKENDS, load_generator, requests_at_once
from oger.evaluation.job import Policy
from oger.io import pretrained
from oger.io.local import looks_local, meant
from oger.io.objects import NUMBER, read_object
from oger.io.pretrained import is_model
from oger.io.rows import WORLD_PREFIX, SourceError, load_rows, world_name
from oger.recipes import Recipe, load_recipe
from oger.runs.paths import BEST, CHECKPOINTS, CONFIG, MODEL, VALIDATION, checkpoint_step
from oger.terminal.errors import UserError
from oger.words import one_of

PROMPT_STYLES = ("auto", "chat", "text")

_HUB_ID = re.compile(r"^[\w-][\w.-]*/[\w.-]+$")
_WEIGHTS = (
    "*.safetensors", "*.bin", "adapter_config.json", "config.json", "generation_config.json",
    "chat_template.jinja", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
_SAMPLES_OF_A_FILE = 64
_SAMPLE_BYTES = 1 << 16
_MAX_TOKENS = 1024  # of a response, where nothing says how long it may be


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
    base: str | None = None
    """Of an adapter: folder or hub id of the model that it stands on."""


@dataclass(frozen=True)
class Asking:
    """How policies are asked."""

    checkpoint: str = "last"
    backend: str = "transformers"
    batch_size: int = 256
    prompt_style: str = "auto"
    system: str | None = None
    processes: int = 1

    def __post_init__(self) -> None:
        one_of(BACKENDS, self.backend, "backend")
        one_of(PROMPT_STYLES, self.prompt_style, "prompt style")


def split_systems(targets: list[str]) -> dict[str, list[str]]:
    """System name -> its targets, one per seed. A target without NAME= is a system of its own.

    Raises:
        UserError: a name or a target given twice, or an empty one.

    >>> split_systems(["oger=runs/a,runs/b", "runs/c@best"])
    {'oger': ['runs/a', 'runs/b'], 'runs/c@best': ['runs/c@best']}
    """
    systems: dict[str, list[str]] = {}
    for text in targets:
        name, equals, rest = text.partition("=")
        if not equals or Path(text).exists():  # a folder may well have a "=" in its name
            name, rest = text, text
        found = rest.split(",")
        if not name or not all(found) or len(set(found)) < len(found):
            raise UserError(f"{text!r}: write a run, a model, or NAME=RUN,RUN,... with a run per seed")
        if name in systems:
            raise UserError(f"{name} is named twice")
        systems[name] = found
    members = [target for found in systems.values() for target in found]
    if len(set(members)) < len(members):
        raise UserError("a target is named twice")
    return systems


def locate_target(target: str, checkpoint: str = "last") -> PolicyLocation:
    """`locate_policy`, also of RUN@last, RUN@best and RUN@STEP.

    Raises:
        UserError: no such run, checkpoint or model; or two checkpoints are named.
    """
    run, at, named = target.rpartition("@")
    if not at or Path(target).exists():
        return locate_policy(target, checkpoint)
    if checkpoint not in ("last", named):
        raise UserError(f"{target} names a checkpoint, and --checkpoint {checkpoint} another")
    return locate_policy(run, named)


def locate_policy(target: str, checkpoint: str = "last") -> PolicyLocation:
    """Find the policy of `target`, without loading it.

    Raises:
        UserError: no such run, checkpoint or model.
    """
    if checkpoint not in ("last", "best") and not checkpoint.isdecimal():
        raise UserError(f"--checkpoint must be last, best or a step number, got {checkpoint!r}")
    folder = Path(target).expanduser()
    if (folder / CONFIG).is_file():
        recipe = load_recipe(folder / CONFIG)
        source = _of_run(folder, checkpoint)
        world = _embedded_world(recipe.train)
        return PolicyLocation(f"{target} ({checkpoint})", str(source), recipe, world, base_of(str(source)))
    if looks_local(target) and not folder.exists():
        raise UserError(f"no run or model at {target}: no such run or model folder{meant(target)}")
    if checkpoint != "last":
        raise UserError(f"--checkpoint {checkpoint} needs a run folder; {target} holds no {CONFIG}")
    if target.startswith(WORLD_PREFIX):
        from oger.worlds import load_world

        name = target.removeprefix(WORLD_PREFIX)
        return PolicyLocation(target, str(load_world(name).base_policy()), None, name)
    if is_model(folder):
        return PolicyLocation(target, str(folder), None, None, base_of(str(folder)))
    if folder.exists():
        raise UserError(f"{target} is neither a run folder (no {CONFIG}) nor a model folder (no config.json)")
    if not _HUB_ID.match(target):
        raise UserError(f"no run or model at {target}; a model of the hub is named OWNER/NAME{meant(target)}")
    return PolicyLocation(target, target, None, None)


def model_source(model: str) -> str:
    """Folder or hub id of a recipe's model; "world:NAME" is the base policy of that world, a run its last policy.

    Raises:
        FileNotFoundError: if the model is written as a path and no such folder exists.
        UserError: the run has no such policy.
    """
    if model.startswith(WORLD_PREFIX):
        from oger.worlds import load_world

        return str(load_world(model.removeprefix(WORLD_PREFIX)).base_policy())
    folder = Path(model).expanduser()
    if any((Path(run) / CONFIG).is_file() for run in (folder, str(folder).rpartition("@")[0]) if run):
        return os.path.abspath(locate_target(str(folder)).source)
    if folder.is_dir():
        return os.path.abspath(folder)
    if looks_local(model):
        raise FileNotFoundError(f"model: the folder {model} does not exist, no such run or model{meant(model)}")
    return model


def load_policy(location: PolicyLocation) -> tuple[Any, Any]:
    """Model and tokenizer; see `oger.io.pretrained.load_policy`."""
    return pretrained.load_policy(location.source, label=location.label, base=location.base)


def base_of(source: str) -> str | None:
    """The model that an adapter stands on; None for whole weights.

    A folder that has moved with its data may name one that is no longer there: the run that the adapter lies in then
    says which it was trained on.
    """
    if not pretrained.is_adapter(source):
        return None
    base = pretrained.adapter_base(source)
    if Path(base).is_dir() or not looks_local(base):
        return base
    for run in list(Path(source).absolute().parents)[:2]:  # RUN/model, RUN/checkpoints/checkpoint-STEP
        if (run / CONFIG).is_file():
            location = locate_target(load_recipe(run / CONFIG).model)
            return location.base or location.source
    return base


def _embedded_world(source: str) -> str | None:
    """The embedded world of a source; one of the user's own is code, which nobody runs because a folder names it."""
    from oger.worlds import world_names

    name = world_name(source)
    return name if name in world_names() else None


def max_new_tokens(location: PolicyLocation) -> int:
    """Length limit of responses: the recipe's, else the world's, else 1024."""
    limit = location.recipe.training.get("max_completion_length") if location.recipe else None
    if limit is None and location.world is not None:
        from oger.worlds import load_world

        limit = load_world(location.world).max_completion_length
    return int(limit or _MAX_TOKENS)


def local_policy(target: str, asking: Asking) -> Policy:
    """The policy of a run, a model folder, a hub id or a world, to be evaluated.

    Raises:
        UserError: no such run, checkpoint or model, or no tokenizer; names --prompt-style where that would help.
    """
    location = locate_target(target, asking.checkpoint)
    named = "@" in target or asking.checkpoint == "last"
    label = target if named else f"{target}@{asking.checkpoint}"
    template = (location.recipe.training if location.recipe is not None else {}).get("chat_template_kwargs") or {}
    return Policy(
        label=label,
        identity={
            "weights": _fingerprint(location.source),
            "backend": asking.backend,
            "chat_template_kwargs": template,
        },
        form=_form(location, asking),
        max_tokens=max_new_tokens(location),
        make_generator=partial(
            load_generator,
            asking.backend,
            location.source,
            location.label,
            asking.batch_size,
            template,
            location.base,
        ),
        batch_size=requests_at_once(asking.backend, asking.batch_size),
        note=_note(location, label),
        processes=asking.processes,
    )


def endpoint_policy(
    model: str, url: str, key: str | None, concurrency: int, asking: Asking, body: Mapping[str, Any]
) -> Policy:
    """A model behind an OpenAI-compatible endpoint, asked by so many requests at once.

    Args:
        body: further fields of every request; None leaves out one that would be sent.

    Raises:
        ValueError: an address or a key that cannot be right, or a field that is not the user's to set.
    """
    from oger.endpoint.client import PROMPT_FIELDS, Endpoint, EndpointOptions
    from oger.evaluation.backends.endpoint import EndpointGenerator

    for name in PROMPT_FIELDS:
        if name in body:
            raise UserError(f"--body cannot set {name!r}: the evaluation sets it")
    text = asking.prompt_style == "text"
    endpoint = Endpoint(EndpointOptions(url, model, completions=text), key)
    return Policy(
        label=model,
        identity={
            "endpoint_model": model,
            "api": "completions" if text else "chat",
            **({"body": dict(body)} if body else {}),
        },
        form=PromptForm(not text, asking.system),
        max_tokens=_MAX_TOKENS,
        make_generator=lambda: EndpointGenerator(endpoint, concurrency=concurrency, body=body),
        batch_size=None,
    )


def _of_run(run: Path, checkpoint: str) -> Path:
    found = {checkpoint_step(path): path for path in (run / CHECKPOINTS).glob("*") if is_model(path)}
    checkpoints = {step: path for step, path in found.items() if step is not None}
    if checkpoint == "last" and not is_model(run / MODEL) and checkpoints:
        return checkpoints[max(checkpoints)]
    if checkpoint.isdecimal():
        if int(checkpoint) not in checkpoints:
            have = ", ".join(str(step) for step in sorted(checkpoints)) or "none"
            raise UserError(f"{run} has no checkpoint of step {checkpoint}; it has: {have}")
        return checkpoints[int(checkpoint)]
    path = run / (MODEL if checkpoint == "last" else BEST)
    if not is_model(path):
        raise UserError(f"{run} has no {checkpoint} policy yet ({path} is not a model folder)")
    return path


def _form(location: PolicyLocation, asking: Asking) -> PromptForm:
    """As the policy was trained: a run's own prompts decide, else whether the model has a chat template."""
    if asking.prompt_style != "auto":
        return PromptForm(asking.prompt_style == "chat", asking.system)
    if location.recipe is not None:
        prompt = _first_training_prompt(location.recipe, location.label)
        if isinstance(prompt, str):
            return PromptForm(False)
        roles = {message.get("role"): message.get("content") for message in prompt[:1]}
        return PromptForm(True, roles.get("system") if asking.system is None else asking.system)
    if location.world is not None:
        return PromptForm(False)
    tokenizer = pretrained.load_tokenizer(
        pretrained.tokenizer_source(location.source, location.base), label=location.label
    )
    return PromptForm(bool(tokenizer.chat_template), asking.system)


def _first_training_prompt(recipe: Recipe, label: str) -> Any:
    try:
        prompt = load_rows(recipe.train, 1)[0].get("prompt")
    except SourceError as error:
        raise UserError(
            f"cannot see how {label} was asked in training ({error}): add --prompt-style chat or text"
        ) from error
    if not isinstance(prompt, str | list) or not prompt:
        raise UserError(f"the training prompts of {label} are no texts or chats: add --prompt-style")
    return prompt


def _fingerprint(source: str) -> str:
    """A hub id and its commit; of a folder, a hash of names, sizes and samples of the files that make the policy.

    Responses of an earlier state of a run are then never taken for those of a later one.
    """
    folder = Path(source)
    if not folder.is_dir():
        return pretrained.with_commit(source)
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern)}):
        size = path.stat().st_size
        digest.update(json.dumps([path.name, size]).encode())
        with open(path, "rb") as file:  # all of a small file, places all over a large one: some layers may be frozen
            for place in range(0, size, max(_SAMPLE_BYTES, size // _SAMPLES_OF_A_FILE)):
                file.seek(place)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _note(location: PolicyLocation, label: str) -> str:
    """Which step a run's policy is, and how it was chosen."""
    if location.recipe is None:
        return ""
    record = Path(location.source) / VALIDATION
    if record.is_file():
        best = read_object(record, {"step": int})
        outcome = next((value for key, value in best.items() if key != "step" and isinstance(value, NUMBER)), None)
        said = "" if outcome is None else f" ({100 * outcome:.1f} % there)"
        return f"{label}: step {best['step']}, chosen as the best on {location.recipe.validation}{said}"
    step = checkpoint_step(Path(location.source))
    return f"{label}: the last policy of the run" if step is None else f"{label}: step {step}"
