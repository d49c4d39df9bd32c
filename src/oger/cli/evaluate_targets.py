"""What `oger evaluate` compares: targets, or NAME=TARGET,TARGET with one per seed.

A target is a run (RUN, RUN@best, RUN@STEP), a model folder, a hub id, world:NAME, or a model at an endpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oger.runs.policy import PolicyLocation, load_policy, locate_policy, max_new_tokens
from oger.terminal.errors import UserError

if TYPE_CHECKING:
    from oger.endpoint.client import Endpoint
    from oger.evaluation.backends.base import Generator, PromptForm
    from oger.evaluation.job import Policy

BACKENDS = ("transformers", "continuous", "vllm")
PROMPT_STYLES = ("auto", "chat", "text")

_WEIGHTS = (
    "*.safetensors", "*.bin", "adapter_config.json", "config.json", "generation_config.json",
    "chat_template.jinja", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
_SAMPLES_OF_A_FILE = 64
_SAMPLE_BYTES = 1 << 16
_ENDPOINT_MAX_TOKENS = 1024


@dataclass(frozen=True)
class Options:
    """How policies are asked."""

    checkpoint: str
    backend: str
    batch_size: int
    prompt_style: str
    system: str | None
    processes: int = 1


@dataclass(frozen=True)
class EndpointAddress:
    """Where models are asked over the network."""

    url: str
    key: str | None
    concurrency: int


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


def local_policy(target: str, options: Options) -> Policy:
    """The policy of a run, a model folder, a hub id or a world.

    Raises:
        UserError: no such run, checkpoint or model, or no tokenizer; names --prompt-style where that would help.
    """
    from oger.evaluation.job import Policy

    location = locate_target(target, options.checkpoint)
    named = "@" in target or options.checkpoint == "last"
    label = target if named else f"{target}@{options.checkpoint}"
    training = location.recipe.training if location.recipe is not None else {}
    template = training.get("chat_template_kwargs") or {}

    return Policy(
        label=label,
        identity={
            "weights": _fingerprint(location.source),
            "backend": options.backend,
            "chat_template_kwargs": template,
        },
        form=_form(location, options),
        max_tokens=max_new_tokens(location),
        make_generator=partial(_load_generator, location, options.backend, options.batch_size, template),
        batch_size=_batch_size(options),
        note=_note(location, label),
        processes=options.processes,
    )


def _load_generator(location: PolicyLocation, backend: str, batch_size: int, template: Mapping[str, Any]) -> Generator:
    if backend == "vllm":
        from oger.evaluation.backends.vllm import VllmGenerator

        if (Path(location.source) / "adapter_config.json").is_file():
            raise UserError(
                f"--backend vllm needs whole weights, and {location.label} is an adapter: merge it into its base"
            )
        return VllmGenerator(location.source, chat_template_kwargs=template)
    model, tokenizer = load_policy(location)
    if backend == "continuous":
        from oger.evaluation.backends.continuous import ContinuousGenerator

        return ContinuousGenerator(model, tokenizer, most_at_once=batch_size, chat_template_kwargs=template)
    from oger.evaluation.backends.transformers import TransformersGenerator

    return TransformersGenerator(model, tokenizer, batch_size=batch_size, chat_template_kwargs=template)


def endpoint_policy(model: str, address: EndpointAddress, options: Options) -> Policy:
    """A model behind an OpenAI-compatible endpoint.

    Raises:
        ValueError: an address or a key that cannot be right.
    """
    from oger.evaluation.backends.base import PromptForm
    from oger.evaluation.backends.endpoint import EndpointGenerator
    from oger.evaluation.job import Policy

    endpoint = _endpoint(model, address, options)
    return Policy(
        label=model,
        identity={"endpoint_model": model, "api": "completions" if options.prompt_style == "text" else "chat"},
        form=PromptForm(options.prompt_style != "text", options.system),
        max_tokens=_ENDPOINT_MAX_TOKENS,
        make_generator=lambda: EndpointGenerator(endpoint, concurrency=address.concurrency),
        batch_size=None,
    )


def api_key(variable: str | None) -> str | None:
    """The key in an environment variable; without one none is sent.

    Raises:
        UserError: the variable is not set.
    """
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise UserError(f"the environment variable {variable} is not set; it should hold the API key")
    return os.environ[variable]


def _endpoint(model: str, address: EndpointAddress, options: Options) -> Endpoint:
    from oger.endpoint.client import Endpoint, EndpointOptions

    return Endpoint(EndpointOptions(address.url, model, completions=options.prompt_style == "text"), address.key)


def _batch_size(options: Options) -> int | None:
    if options.backend == "vllm":
        from oger.evaluation.backends.vllm import VllmGenerator

        return VllmGenerator.batch_size
    return None if options.backend == "continuous" else options.batch_size


def _form(location: PolicyLocation, options: Options) -> PromptForm:
    """As the policy was trained: a run's own prompts decide, else whether the model has a chat template."""
    from oger.evaluation.backends.base import PromptForm

    if options.prompt_style != "auto":
        return PromptForm(options.prompt_style == "chat", options.system)
    if location.recipe is not None:
        prompt = _first_training_prompt(location)
        if isinstance(prompt, str):
            return PromptForm(False)
        roles = {message.get("role"): message.get("content") for message in prompt[:1]}
        system = roles.get("system") if options.system is None else options.system
        return PromptForm(True, system)
    if location.world is not None:
        return PromptForm(False)
    return PromptForm(_has_chat_template(location), options.system)


def _first_training_prompt(location: PolicyLocation) -> Any:
    from oger.io.rows import SourceError, load_rows

    assert location.recipe is not None
    try:
        prompt = load_rows(location.recipe.train, 1)[0].get("prompt")
    except SourceError as error:
        raise UserError(
            f"cannot see how {location.label} was asked in training ({error}): add --prompt-style chat or text"
        ) from error
    if not isinstance(prompt, str | list) or not prompt:
        raise UserError(f"the training prompts of {location.label} are no texts or chats: add --prompt-style")
    return prompt


def _has_chat_template(location: PolicyLocation) -> bool:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(location.source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the tokenizer of {location.label}: {str(error).splitlines()[0]}") from error
    return bool(tokenizer.chat_template)


def _fingerprint(source: str) -> str:
    """A hub id and its commit; of a folder, a hash of names, sizes and samples of the files that make the policy.

    Responses of an earlier state of a run are then never taken for those of a later one.
    """
    folder = Path(source)
    if not folder.is_dir():
        return _with_commit(source)
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern)}):
        size = path.stat().st_size
        digest.update(json.dumps([path.name, size]).encode())
        with open(path, "rb") as file:  # all of a small file, places all over a large one: some layers may be frozen
            for place in range(0, size, max(_SAMPLE_BYTES, size // _SAMPLES_OF_A_FILE)):
                file.seek(place)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _with_commit(hub_id: str) -> str:
    """OWNER/NAME@COMMIT, of the hub or, where it cannot be reached, of the snapshot in its cache."""
    from transformers.utils.hub import cached_file, extract_commit_hash

    try:
        config = cached_file(hub_id, "config.json")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the model {hub_id}: {str(error).splitlines()[0]}") from error
    commit = extract_commit_hash(config, None)
    return f"{hub_id}@{commit}" if commit else hub_id


def _note(location: PolicyLocation, label: str) -> str:
    """Which step a run's policy is, and how it was chosen."""
    if location.recipe is None:
        return ""
    record = Path(location.source) / "validation.json"
    if record.is_file():
        best = json.loads(record.read_text(encoding="utf-8"))
        outcome = next((value for key, value in best.items() if key != "step"), None)
        said = "" if outcome is None else f" ({100 * outcome:.1f} % there)"
        return f"{label}: step {best['step']}, chosen as the best on {location.recipe.validation}{said}"
    step = Path(location.source).name.removeprefix("checkpoint-")
    return f"{label}: step {step}" if step.isdecimal() else f"{label}: the last policy of the run"
