"""OGER: offline-guided exploration rewards for hybrid reinforcement learning of LLM reasoning (arXiv 2604.18530).

The tree is the paper: `method` holds the equations, `training` the trainer that runs them, and the folders beside
them the stages that feed it. Names are imported on first use, so `import oger` stays cheap.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oger.training.config import OGERConfig as OGERConfig
    from oger.training.run.python_run import RunFolder as RunFolder
    from oger.training.trainer import OGERTrainer as OGERTrainer

__version__ = "0.1.0"

_LAZY = {
    "OGERConfig": "oger.training.config",
    "OGERTrainer": "oger.training.trainer",
    "RunFolder": "oger.training.run.python_run",
}
__all__ = ["OGERConfig", "OGERTrainer", "RunFolder", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'oger' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Names for people who look round: what is meant for them, modules that are loaded, and what Python itself sets."""
    own = {name for name, value in globals().items() if isinstance(value, ModuleType) or name.startswith("__")}
    return sorted({*own, *__all__})
