"""From a study to its cells: one training (or the untrained policy) with all that is measured on it.

A cell has a name, which is its folder, and an identity: a hash of its resolved recipe and of what is measured. A stored
cell counts only where both agree; where the identity of a name has changed, the study is refused and says what differs.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from oger.io import yaml as dialect
from oger.recipes import Recipe, load_recipe
from oger.study.fields import StudyError
from oger.study.plan import BASE, Budget, Method, Regime, Study

MAIN, TUNING, UNTRAINED = "main", "tuning", "base"

VALIDATION = "validation"
"""Name of the split that tuning reads."""

STANDARD, WIDE = "standard", "wide"

_PLACE_KEYS = ("output_dir", "description")
"""Recipe keys that change nothing that is measured."""


@dataclass(frozen=True)
class Cell:
    """One unit of work."""

    kind: str
    """`MAIN`, `TUNING` or `UNTRAINED`."""
    regime: str
    method: str
    seed: int
    tuned: str
    """"key=value" that this cell tries (`TUNING`) or was given (`MAIN`); "" without tuning."""
    recipe: str
    overrides: tuple[str, ...]
    """As `oger train RECIPE KEY=VALUE ...` takes them, without output_dir."""
    measures: tuple[Mapping[str, Any], ...]
    """{"evaluation", "policy", "samples", "limit", "splits": {name: source}}, JSON-ready."""
    encoder: Mapping[str, Any]
    """{"encoder", "part", ...}: measures distances; the recipe's own, whatever the method trains with."""
    settings: Mapping[str, Any]
    """What the identity is made of, JSON-ready."""

    @property
    def name(self) -> str:
        """Folder below cells/, and key of every table."""
        if self.kind == UNTRAINED:
            return f"{self.regime}/{self.method}"
        value = self.tuned.replace("%", "%25").replace("/", "%2F")  # a value may be a path, a name is one folder
        middle = f"/{value}" if self.kind == TUNING else ""
        return f"{self.regime}/{self.method}{middle}/seed-{self.seed}"

    @property
    def identity(self) -> str:
        """16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]


_SET_BEFORE: Mapping[str, Mapping[str, Any]] = {
    "luffy_code": {"entropy_coef": 0.001, "clip": "none"},
    "paper_text": {"entropy_coef": 0.0},
}
"""What presets set when the first results were stored: a study that now says so has the identity of then."""


def tuning_cells(study: Study) -> list[Cell]:
    """The cells that choose the tuned key, in the order in which they run."""
    tuning = study.tuning
    if tuning is None:
        return []
    pairs = [
        (study.regimes[regime], study.methods[label]) for regime, label in _pairs(study) if label in tuning.methods
    ]
    first = tuning.seeds[0]
    return [
        _trained(study, regime, method, seed, tuned=(tuning.key, value), kind=TUNING, check=seed == first)
        for seed in tuning.seeds
        for value in tuning.values
        for regime, method in pairs
    ]


def main_cells(study: Study, chosen: Mapping[tuple[str, str], Any]) -> list[Cell]:
    """The untrained policy of each regime, then every method with the first seed, then with the second, ...

    Args:
        chosen: (regime, label) -> tuned value. A method whose value is still to be chosen has no cells yet.
    """
    regimes = dict.fromkeys(regime for block in study.blocks for regime in block.regimes)
    cells = [_untrained(study, study.regimes[regime]) for regime in regimes]
    rank = {seed: place for place, seed in enumerate(dict.fromkeys(seed for b in study.blocks for seed in b.seeds))}
    checked: set[tuple[str, str]] = set()
    for regime, label, seed in sorted(study.grid, key=lambda cell: rank[cell[2]]):
        method = study.methods[label]
        source = method.like or label
        tuned = None
        if study.tuning is not None and source in study.tuning.methods:
            if (regime, source) not in chosen:
                continue
            tuned = study.tuning.key, chosen[regime, source]
        check = (regime, label) not in checked  # its cells differ in their seeds alone
        checked.add((regime, label))
        cells.append(_trained(study, study.regimes[regime], method, seed, tuned=tuned, kind=MAIN, check=check))
    return cells


def choose_values(study: Study, cells: Iterable[Cell], accuracies: Mapping[str, float]) -> dict[tuple[str, str], Any]:
    """(regime, label) -> value with the highest mean accuracy on validation; only where every cell of it is there.

    The first of several equal ones, in the order of the study.

    Args:
        cells: `tuning_cells` of the study.
        accuracies: name of a tuning cell -> accuracy of its last policy on the validation split.
    """
    if study.tuning is None:
        return {}
    chosen = {}
    for pair, by_value in accuracies_by_value(cells, accuracies).items():
        known = [[found for found in column if found is not None] for column in by_value.values()]
        if all(len(found) == len(column) for found, column in zip(known, by_value.values(), strict=True)):
            means = [sum(found) / len(found) for found in known]
            chosen[pair] = study.tuning.values[means.index(max(means))]
    return chosen


def accuracies_by_value(
    cells: Iterable[Cell], accuracies: Mapping[str, float]
) -> dict[tuple[str, str], dict[str, list[float | None]]]:
    """(regime, label) -> "key=value", in the order of the study -> accuracy of each cell, None where it is not there.

    Args:
        cells, accuracies: as of `choose_values`.
    """
    found: dict[tuple[str, str], dict[str, list[float | None]]] = {}
    for cell in cells:
        by_value = found.setdefault((cell.regime, cell.method), {})
        by_value.setdefault(cell.tuned, []).append(accuracies.get(cell.name))
    return found


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """ "key: stored -> asked" for every setting that differs, in alphabetical order."""
    old, new = _flat(stored), _flat(asked)
    return [
        f"{key}: {_shown(old.get(key))} -> {_shown(new.get(key))}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def check_unchanged(cells: Iterable[Cell], stored: Mapping[str, tuple[str, Mapping[str, Any]]], where: str) -> None:
    """Whether what is stored under the names of these cells is theirs.

    Args:
        stored: cell name -> (identity, settings).

    Raises:
        StudyError: it is not; says what differs in the first such cell, and how many there are.
    """
    changed = [cell for cell in cells if cell.name in stored and stored[cell.name][0] != cell.identity]
    if not changed:
        return
    first = changed[0]
    found = differences(stored[first.name][1], first.settings)
    more = f" (and {len(found) - 4} more)" if len(found) > 4 else ""
    others = f"; so do {len(changed) - 1} other cells" if len(changed) > 1 else ""
    raise StudyError(
        f"{where} holds the cell {first.name} with other settings: {'; '.join(found[:4])}{more}{others}. Undo the "
        "change, give the changed method another label, or name another --out"
    )


# --- one cell ---------------------------------------------------------------------------------------------------------


def _pairs(study: Study) -> list[tuple[str, str]]:
    """(regime, label) of every method that tunes itself, in the order of the grid; `like` takes its parent along."""
    found = [
        (regime, study.methods[label].like or label)
        for block in study.blocks
        for regime in block.regimes
        for label in block.methods
    ]
    return list(dict.fromkeys(found))


def _untrained(study: Study, regime: Regime) -> Cell:
    overrides = _overrides({**study.keys, **regime.keys, "test": {}})
    recipe = _load_recipe(study.recipe, overrides)
    measures = _measures(study, regime, BASE, ("last",))
    return _cell(study, UNTRAINED, regime.name, BASE, 0, "", overrides, recipe, measures)


def _trained(
    study: Study, regime: Regime, method: Method, seed: int, *, tuned: tuple[str, Any] | None, kind: str, check: bool
) -> Cell:
    own_budget = study.tuning.budget if study.tuning is not None and kind == TUNING else None
    budget = own_budget or method.budget
    named = {} if method.method is None else {"method": method.method}
    keys = {**named, **study.keys, **regime.keys, **budget.keys, **method.keys, **dict([tuned] if tuned else [])}
    overrides = _overrides({**keys, "test": {}, "seed": seed})
    recipe = _load_recipe(study.recipe, overrides)
    if check:
        _check_recipe(recipe, budget, method.label)
    if kind == TUNING:
        assert study.tuning is not None
        how = study.tuning.samples, recipe.validation_limit
        measures = [_measure(STANDARD, "last", *how, {VALIDATION: recipe.validation})]
    else:
        measures = _measures(study, regime, method.label, study.evaluation.policies)
    shown = "" if tuned is None else f"{tuned[0]}={_shown(tuned[1])}"
    return _cell(study, kind, regime.name, method.label, seed, shown, overrides, recipe, measures)


def _measures(study: Study, regime: Regime, label: str, policies: tuple[str, ...]) -> list[dict[str, Any]]:
    asked, wide = study.evaluation, study.evaluation.wide
    measures = [_measure(STANDARD, policy, asked.samples, asked.limit, regime.test) for policy in policies]
    if wide is not None and label in (BASE, *wide.methods):
        policy = "last" if label == BASE else wide.policy
        measures.append(_measure(WIDE, policy, wide.samples, wide.limit, regime.test))
    return measures


def _measure(
    evaluation: str, policy: str, samples: int, limit: int | None, splits: Mapping[str, Any]
) -> dict[str, Any]:
    """One of `Cell.measures`."""
    return {"evaluation": evaluation, "policy": policy, "samples": samples, "limit": limit, "splits": dict(splits)}


def _cell(
    study: Study,
    kind: str,
    regime: str,
    method: str,
    seed: int,
    tuned: str,
    overrides: list[str],
    recipe: Recipe,
    measures: list[dict[str, Any]],
) -> Cell:
    # Defaults are left out, so that a key that a later version brings does not change what is stored.
    defaults = {field.name: field.default for field in fields(Recipe)}
    keys = {**{key: value for key, value in recipe.own.items() if value != defaults[key]}, **recipe.training}
    resolved = {key: value for key, value in keys.items() if key not in _PLACE_KEYS}
    for key, value in _SET_BEFORE.get(str(keys.get("preset")), {}).items():
        if keys.get(key) == value:
            resolved.pop(key)
    encoder = _measuring_encoder(study.recipe, tuple(_overrides({**study.keys, **study.regimes[regime].keys})))
    settings = json.loads(json.dumps({"recipe": resolved, "measures": measures, "measured_with": encoder}))
    return Cell(kind, regime, method, seed, tuned, study.recipe, tuple(overrides), tuple(measures), encoder, settings)


@cache
def _measuring_encoder(recipe: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    from oger.training.config import OGERConfig

    training = _load_recipe(recipe, overrides).training
    return {
        "encoder": training.get("encoder", OGERConfig.encoder),
        "part": training.get("encoder_part", OGERConfig.encoder_part),
        **(training.get("encoder_options") or {}),
    }


def _overrides(keys: Mapping[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in keys.items()]


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key; "recipe." is left out of the keys."""
    if isinstance(settings, list) and any(isinstance(entry, Mapping) for entry in settings):
        settings = dict(enumerate(settings, start=1))
    if isinstance(settings, Mapping) and settings:
        parts = [_flat(value, f"{prefix}{key}.") for key, value in settings.items()]
        return {key: value for part in parts for key, value in part.items()}
    return {prefix.removesuffix(".").removeprefix("recipe."): settings}


def _shown(value: Any) -> str:
    """A value as a recipe writes it."""
    return dialect.dump({"v": value}).removeprefix("v:").strip()


# --- what can be known about a recipe before hours are spent on it ----------------------------------------------------


def _load_recipe(path_or_name: str, overrides: Iterable[str]) -> Recipe:
    """A recipe of a study with every key checked, those of the training included."""
    from oger.training.run.options import check_training

    return check_training(load_recipe(path_or_name, overrides))


def _check_recipe(recipe: Recipe, budget: Budget, label: str) -> None:
    """Whether the options of a method fit together, and its budget can end it.

    Raises:
        StudyError: they do not, or it cannot; says what to set.
    """
    from oger.training.run.warm_start import first_recipe

    _check_stage(recipe, budget, label)
    if recipe.first is None:
        return
    if budget.unit != "steps" and "max_steps" not in recipe.first:
        raise StudyError(
            f"{label}: its first stage would spend the whole budget of {budget.unit}, or never end: set max_steps in "
            "`first`"
        )
    _check_stage(first_recipe(recipe), budget, f"{label}, first stage", is_first=True)


def _check_stage(recipe: Recipe, budget: Budget, label: str, *, is_first: bool = False) -> None:
    from oger.training.run.build import run_options

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will say them
        try:
            options = run_options(recipe)
        except ValueError as error:
            raise StudyError(f"{label}: {error}") from error
    if budget.unit == "steps" or is_first:  # a first stage has max_steps of its own
        return
    schedules = {
        "lr_scheduler_type": str(getattr(options.lr_scheduler_type, "value", options.lr_scheduler_type)),
        "exploration_schedule": options.exploration_schedule,
        "imitation_schedule": options.imitation_schedule,
    }
    for key, schedule in schedules.items():
        if not schedule.startswith("constant"):
            raise StudyError(
                f"{label}: a budget of {budget.unit} ends at a step that is not known before, and {key} {schedule} "
                f"depends on it: set {key}: constant, or a budget of steps"
            )
    if budget.unit == "generated_tokens" and not options.generates:
        raise StudyError(
            f"{label} generates nothing, so a budget of generated_tokens would never end it: give it a budget of its "
            "own in steps"
        )
