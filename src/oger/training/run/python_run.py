"""`RunFolder`: a trainer that is used from Python leaves the run folder that `oger train` leaves.

The folder holds a whole recipe: data sets are kept in it as Parquet, a model that is an object is saved into it,
rewards are named by where they are defined. So `oger report`, `evaluate`, `sample` and `oger train RUN/config.yaml
--resume` work on it as on any other.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from accelerate import PartialState
from datasets import Dataset
from rich.console import Console

from oger.io.pretrained import load_tokenizer
from oger.io.whole import whole_folder
from oger.recipes.recipe import MANAGED, Recipe, dump_recipe, make_recipe
from oger.runs.paths import CONFIG, SENT_IN
from oger.terminal.console import Terminal
from oger.terminal.errors import UserError
from oger.training.config import OGERConfig
from oger.training.keeper import Train
from oger.training.run.build import run_options
from oger.training.run.conduct import claim, conduct
from oger.training.run.options import check_training, training_keys
from oger.training.run.parts import DATA, Parts
from oger.training.run.ranks import by_owner, check_group
from oger.training.run.rows import checked_rows, read_data
from oger.training.run.show import quiet_libraries
from oger.training.run.start import same_start
from oger.training.run.stop_signals import StopSignals
from oger.verification.rewards import accuracy_reward, format_reward

Rows: TypeAlias = Dataset | Sequence[Mapping[str, Any]]

_SHIPPED = {accuracy_reward: "accuracy", format_reward: "format"}
_ALWAYS = ("eval_strategy", "eval_steps", "report_to", "dataloader_pin_memory", "seed")
_NOT_A_RECIPES = {*MANAGED, "output_dir", "rollouts_every", "generation_batch_size", "hub_token"}
_OF_THE_FOLDER = (
    "output_dir", "record_dir", "rollouts_every", "save_total_limit", "logging_strategy", "logging_steps",
    "disable_tqdm", "load_best_model_at_end",
)  # fmt: skip
"""Options that say where and how a run is kept; a recipe may not set them either."""
_KEPT = 2  # checkpoints, where the options name no number


class RunFolder:
    """Give it to `OGERTrainer(..., run=RunFolder("runs/mine"))`: `trainer.train()` then leaves a run folder.

    Args:
        path: the run folder; one that holds a run is refused.
        test: name -> problems (rows or a Dataset) that are solved before and after the training.
        eval_samples: samples of each of these problems.
        rollouts_every: steps from one file of rollouts to the next; 0 = none.
        probe_prompts: training prompts that are sampled again, for the report's map; 0 = none.
        resume: go on with the run in the folder, which was started with the same arguments.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        test: Mapping[str, Rows] | None = None,
        eval_samples: int = 8,
        rollouts_every: int = 10,
        probe_prompts: int = 4,
        resume: bool = False,
    ) -> None:
        self.path = Path(path).expanduser()
        self.summary: dict[str, Any] | None = None
        """What summary.json holds, once the training has ended."""
        self._test = dict(test or {})
        self._own = {"eval_samples": eval_samples, "rollouts_every": rollouts_every, "probe_prompts": probe_prompts}
        self._resume = resume
        self._owned = ExitStack()
        self._console: Console = Terminal()
        self._recipe: Recipe | None = None

    def prepare(
        self, model: Any, reward_funcs: Any, args: OGERConfig, train_dataset: Any, eval_dataset: Any, tokenizer: Any,
        peft: Any,
    ) -> None:  # fmt: skip
        """See `oger.training.keeper.RunKeeper`.

        Raises:
            FileExistsError, FileNotFoundError: as `train_recipe`.
            ValueError: a reward, a model or a data set that no recipe can name.
        """
        quiet_libraries()
        check_group()
        sets = {"train": train_dataset, **({} if eval_dataset is None else {"validation": eval_dataset})}
        sets |= {f"test-{name}": rows for name, rows in self._test.items()}
        folder = self.path / SENT_IN
        document: dict[str, Any] = {
            **self._own,
            "model": str(folder / "model") if not isinstance(model, str) else model,
            "train": str(folder / "train.parquet"),
            "validation": None if eval_dataset is None else str(folder / "validation.parquet"),
            "test": {name: str(folder / f"test-{name}.parquet") for name in self._test},
            "rewards": [reward_name(function) for function in _listed(reward_funcs)],
            "peft": None if peft is None else _changed(peft.to_dict(), type(peft)().to_dict()),
            "keep_last": args.save_total_limit or _KEPT,
            "output_dir": str(self.path),
            **_recorded(args),
        }
        recipe = check_training(make_recipe(document, name=self.path.name))

        def keep_inputs() -> None:
            claim(recipe, self._resume, self._owned, self._console)
            if not self._resume:
                with whole_folder(folder) as beside:
                    for name, rows in sets.items():
                        _save_rows(rows, beside / f"{name}.parquet", name)
                    if not isinstance(model, str):
                        _save_model(model, tokenizer, beside / "model")
                dump_recipe(check_training(recipe), self.path / CONFIG)

        by_owner(keep_inputs)
        options = run_options(recipe)
        for name in _OF_THE_FOLDER:
            setattr(args, name, getattr(options, name))
        self._recipe = recipe

    def train(self, trainer: Any, train: Train) -> Any:
        """See `oger.training.keeper.RunKeeper`; what `trainer.train()` returns."""
        assert self._recipe is not None, "the trainer prepares its run before it is built"
        recipe, parts, result = self._recipe, Parts(), []
        data = read_data(recipe)
        tests = {name: checked_rows(recipe, source) for name, source in recipe.test.items()}
        by_owner(lambda: same_start(self.path, recipe, data, tests, PartialState().num_processes))
        parts.end(DATA)

        def train_and_keep(checkpoint: str | None) -> None:
            result.append(train(checkpoint))

        with self._owned, StopSignals() as signals:
            self.summary = conduct(
                recipe, trainer, tests, self._console, signals, train_and_keep, resume=self._resume, parts=parts
            )
        return result[0] if result else None


def reward_name(function: Any) -> str:
    """How a recipe names a reward function: a shipped one by its name, another by its module or file.

    Raises:
        UserError: it is no function at the top level of a module, so that no other process could find it.
    """
    if isinstance(function, Callable) and function in _SHIPPED:  # type: ignore[arg-type]
        return _SHIPPED[function]
    name = getattr(function, "__qualname__", None)
    module = sys.modules.get(getattr(function, "__module__", ""), None)
    if name is None or module is None or getattr(module, name, None) is not function:
        raise UserError(
            f"the reward {name or type(function).__name__} cannot be named in a run folder: define it as a function at "
            "the top level of a file, or leave out run="
        )
    if module.__name__ == "__main__" or "." not in module.__name__:
        file = inspect.getsourcefile(getattr(module, name))
        if file is None or not Path(file).is_file():
            raise UserError(f"the reward {name} stands in no file, and a run folder names its rewards: put it into one")
        return f"{Path(file).resolve()}:{name}"
    return f"{module.__name__}:{name}"


def _listed(reward_funcs: Any) -> list[Any]:
    if reward_funcs is None:
        raise UserError("a run folder needs a reward function: its first one says what is right")
    return list(reward_funcs) if isinstance(reward_funcs, list | tuple) else [reward_funcs]


def _recorded(args: OGERConfig) -> dict[str, Any]:
    """The options of a trainer as a recipe sets them: those that are not OGERConfig's defaults."""
    plain = OGERConfig(str(args.output_dir), bf16=args.bf16).to_dict()
    set_here = _changed(args.to_dict(), plain)
    known = {name: value for name, value in args.to_dict().items() if name in _ALWAYS or name in set_here}
    known |= args.resolved_options() | {"bf16": args.bf16}
    keys = set(training_keys()) - _NOT_A_RECIPES
    return {name: value for name, value in known.items() if name in keys and value is not None}


def _changed(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not the defaults, as YAML has them."""
    changed = {name: value for name, value in values.items() if value != defaults.get(name)}
    return {name: sorted(value) if isinstance(value, set) else value for name, value in changed.items()}


def _save_rows(rows: Any, path: Path, name: str) -> None:
    if not isinstance(rows, Dataset):
        if not isinstance(rows, Sequence) or isinstance(rows, str):
            raise UserError(f"{name}: a run folder keeps data sets, which {type(rows).__name__} is not: make it one")
        rows = Dataset.from_list([dict(row) for row in rows])
    table: pa.Table = rows.with_format("arrow")[:]
    pq.write_table(table, path)


def _save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    if hasattr(model, "peft_config"):
        raise UserError("a run folder cannot keep a PeftModel: give the base model and peft_config")
    model.save_pretrained(folder)
    (tokenizer or load_tokenizer(model.config._name_or_path)).save_pretrained(folder)
