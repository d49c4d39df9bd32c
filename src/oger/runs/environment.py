"""environment.json: what a run was made with, so that another machine can be compared with it."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import oger
from oger.io.secrets import without_secrets
from oger.io.whole import write_json
from oger.runs.commit import git_commit
from oger.runs.paths import ENVIRONMENT

_PACKAGES = (
    "torch", "transformers", "trl", "accelerate", "datasets", "peft", "numpy", "pyarrow", "scikit-learn", "math-verify",
    "reasoning-gym", "tokenizers", "vllm", "deepspeed",
)  # fmt: skip

_OGER = ("oger", "__main__.py", "main.py")
"""The first word of a process that is the command."""


def environment() -> dict[str, Any]:
    """Versions, hardware and commits, ready for JSON. No host name, user name, environment variable or secret."""
    import torch

    devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return {
        "oger": oger.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "packages": {name: installed_version(name) for name in _PACKAGES},
        "cuda": torch.version.cuda,
        "devices": [{"name": device.name, "memory_bytes": device.total_memory} for device in devices],
        "source_commit": git_commit(Path(oger.__file__).parent),
        "working_directory_commit": git_commit(Path.cwd()),
        "arguments": without_secrets(sys.argv[1:]),
        "command": command_line(),
    }


def command_line() -> str:
    """What started this process, as one would type it, without secrets."""
    program, *arguments = sys.argv or ["python"]
    name = Path(program).name
    typed = ["oger"] if name in _OGER else ["python", name]
    return shlex.join([*typed, *without_secrets(arguments)])


def write_environment(run: str | os.PathLike[str]) -> Path:
    """Write `environment()` to RUN/environment.json and return that path."""
    path = Path(run) / ENVIRONMENT
    write_json(path, environment())
    return path


def installed_version(package: str) -> str | None:
    """None where the package is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
