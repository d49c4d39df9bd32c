"""STUDY.yaml: what is compared, on what, how often, and at what cost.

    name: world_a                    # results go to studies/NAME
    recipe: quickstart               # underlies every cell
    reference: grpo                  # differences are to this method
    set: {rollouts_every: 0}         # recipe keys of every cell
    budget: {steps: 120}             # or generated_tokens: N, or wall_seconds: N; the same for every method
    seeds: [0, 1, 2, 3, 4]
    regimes:                         # recipe keys; `test` is measured afterwards, `target` (an accuracy) is optional
      reachable: {train: ..., validation: ..., test: {id: ..., ood: ...}, target: 0.5}
    methods:                         # label -> options; a label is also the recipe's `method`, unless one is named
      grpo: {}
      luffy_2: {method: luffy_multi, set: {teacher_rows: 2}}
      sft: {budget: {steps: 60}}     # its own budget, where the common one cannot apply
      no_divergence: {like: oger, set: {...}}    # method, keys, budget and tuned value of another label
    grid:                            # default: every method in every regime with every seed
      - {regimes: [reachable], methods: all}
      - {regimes: [hard], methods: [grpo, oger], seeds: [0, 1, 2]}
    tuning: {key: learning_rate, values: [1e-4, 3e-4], seeds: [100], samples: 4}
    evaluation: {samples: 8, limit: null, wide: {samples: 64, limit: 100, methods: [grpo, oger]}}

`method: null` leaves the recipe's own method. `tuning` trains every method once per value and tuning seed, by the
study's budget or its own `budget`, and takes the value with the highest accuracy on the validation split; no test
split is read for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oger.io import yaml as yaml_dialect
from oger.study import fields
from oger.study.fields import StudyError

BASE = "base"
"""Label of the untrained policy, which is measured once per regime."""

BUDGETS = {
    "steps": "max_steps",
    "generated_tokens": "max_generated_tokens",
    "wall_seconds": "max_train_seconds",
}
"""Unit of a budget -> recipe key."""

POLICIES = ("last", "best")


@dataclass(frozen=True)
class Budget:
    """What a cell may spend."""

    unit: str
    """One of `BUDGETS`."""
    amount: float

    @property
    def keys(self) -> dict[str, Any]:
        """The recipe keys that say so."""
        whole = self.amount if self.unit == "wall_seconds" else int(self.amount)
        # Another limit decides: the number of steps must not be reached before it.
        return {BUDGETS[self.unit]: whole} if self.unit == "steps" else {"max_steps": 10**7, BUDGETS[self.unit]: whole}

    def __str__(self) -> str:
        return f"{self.amount:,.0f} {self.unit.replace('_', ' ')}"


@dataclass(frozen=True)
class Method:
    """One column of the comparison."""

    label: str
    method: str | None
    """The recipe's `method`; None leaves the recipe's own."""
    keys: Mapping[str, Any]
    """Recipe keys."""
    budget: Budget
    like: str | None = None
    """Label whose tuned value this one takes."""


@dataclass(frozen=True)
class Regime:
    """One difficulty: recipe keys, what is measured afterwards, and the validation accuracy to reach."""

    name: str
    keys: Mapping[str, Any]
    test: Mapping[str, str]
    target: float | None = None


@dataclass(frozen=True)
class Block:
    """One entry of the grid."""

    regimes: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Tuning:
    """One recipe key, chosen per method and regime on the validation split."""

    key: str
    values: tuple[Any, ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    samples: int
    """Per validation problem."""
    budget: Budget | None
    """None: the method's own."""


@dataclass(frozen=True)
class Wide:
    """Many samples of some methods' policies, for pass@k with a large k."""

    samples: int
    methods: tuple[str, ...]
    limit: int | None
    policy: str


@dataclass(frozen=True)
class Evaluation:
    """What is drawn from each trained policy on each test split."""

    samples: int = 8
    limit: int | None = None
    policies: tuple[str, ...] = POLICIES
    wide: Wide | None = None


@dataclass(frozen=True)
class Study:
    """A checked study."""

    name: str
    recipe: str
    reference: str
    regimes: Mapping[str, Regime]
    methods: Mapping[str, Method]
    blocks: tuple[Block, ...]
    description: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)
    tuning: Tuning | None = None
    evaluation: Evaluation = Evaluation()
    contrasts: tuple[tuple[str, str], ...] = ()
    """Pairs of methods to compare beside the comparisons to the reference."""


def load_study(path: str | os.PathLike[str]) -> Study:
    """Read and check a study; the recipes behind it are checked when its cells are made.

    Raises:
        StudyError: it cannot be used; names the key.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"the study {path} does not exist")
    try:
        document = yaml_dialect.load(yaml_dialect.read_text(path))
    except ValueError as error:
        raise StudyError(f"{path}: {error}") from error
    try:
        return make_study(document, folder=path.parent)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error


def make_study(document: Any, *, folder: Path = Path()) -> Study:
    """The study that a mapping describes; a recipe that is a file is looked for beside it first."""
    top = fields.mapping(
        document, "the study", required=("name", "recipe", "reference", "budget", "regimes", "methods", "seeds"),
        optional=("description", "set", "grid", "contrasts", "tuning", "evaluation"),
    )  # fmt: skip
    budget = _budget(top["budget"], "budget")
    seeds = fields.seeds(top["seeds"], "seeds")
    regimes = {name: _regime(name, entry) for name, entry in fields.named(top["regimes"], "regimes").items()}
    methods = _methods(fields.named(top["methods"], "methods"), budget)
    blocks = _grid(top.get("grid"), regimes, methods, seeds)
    used = {methods[label].like or label for block in blocks for label in block.methods}
    recipe = fields.text(top["recipe"], "recipe")
    beside = folder / recipe
    return Study(
        name=fields.name(top["name"], "name"),
        recipe=str(beside) if os.path.isfile(beside) else recipe,
        reference=fields.one_of(methods, top["reference"], "reference"),
        regimes=regimes,
        methods=methods,
        blocks=blocks,
        description=fields.text(top.get("description", "-"), "description"),
        keys=fields.mapping(top.get("set") or {}, "set"),
        tuning=_tuning(top.get("tuning"), [label for label in methods if label in used]),
        evaluation=_evaluation(top.get("evaluation") or {}, methods),
        contrasts=_contrasts(top.get("contrasts") or [], methods),
    )


# Each part: the entry as it stands in the file, checked.


def _regime(name: str, entry: Any) -> Regime:
    keys = dict(fields.mapping(entry, f"regimes.{name}", required=("train", "validation", "test"), free=True))
    target = keys.pop("target", None)
    if target is not None and not (isinstance(target, int | float) and 0.0 < target <= 1.0):
        raise StudyError(f"regimes.{name}.target must be an accuracy in (0, 1], got {target!r}")
    test = fields.named(keys.pop("test"), f"regimes.{name}.test")
    sources = {split: fields.text(source, f"regimes.{name}.test.{split}") for split, source in test.items()}
    return Regime(name, keys, sources, target)


def _contrasts(entries: Any, methods: Mapping[str, Method]) -> tuple[tuple[str, str], ...]:
    if not (isinstance(entries, list) and all(isinstance(e, list) and len(e) == 2 and e[0] != e[1] for e in entries)):
        raise StudyError(f"contrasts must be a list of pairs of different methods, got {entries!r}")
    first, second = ([fields.one_of(methods, entry[side], "contrasts") for entry in entries] for side in (0, 1))
    return tuple(zip(first, second, strict=True))


def _methods(entries: Mapping[str, Any], common: Budget) -> dict[str, Method]:
    methods: dict[str, Method] = {}
    for label, entry in entries.items():
        if label == BASE:
            raise StudyError(f"the label {BASE!r} stands for the untrained policy: name the method otherwise")
        where = f"methods.{label}"
        options = fields.mapping(entry or {}, where, optional=("method", "set", "budget", "like"))
        like = options.get("like")
        if like is not None and (not isinstance(like, str) or like not in methods):
            raise StudyError(f"{where}.like must be a method above it: {', '.join(methods) or 'there is none'}")
        parent = methods[like] if like is not None else Method(label, label, {}, common)
        method = options.get("method", parent.method)
        methods[label] = Method(
            label,
            None if method is None else fields.text(method, f"{where}.method"),
            {**parent.keys, **fields.mapping(options.get("set") or {}, f"{where}.set")},
            _budget(options["budget"], f"{where}.budget") if "budget" in options else parent.budget,
            None if like is None else parent.like or like,
        )
    return methods


def _grid(
    entries: Any, regimes: Mapping[str, Regime], methods: Mapping[str, Method], seeds: tuple[int, ...]
) -> tuple[Block, ...]:
    entries = [{}] if entries is None else entries
    if not isinstance(entries, list) or not entries:
        raise StudyError("grid must be a list of {regimes, methods, seeds}")
    blocks = []
    for number, entry in enumerate(entries, start=1):
        where = f"grid entry {number}"
        options = fields.mapping(entry, where, optional=("regimes", "methods", "seeds"))
        blocks.append(
            Block(
                fields.some_of(regimes, options.get("regimes", "all"), f"{where}, regimes"),
                fields.some_of(methods, options.get("methods", "all"), f"{where}, methods"),
                fields.seeds(options["seeds"], where) if "seeds" in options else seeds,
            )
        )
    return tuple(blocks)


def _tuning(entry: Any, used: Sequence[str]) -> Tuning | None:
    if entry is None:
        return None
    options = fields.mapping(
        entry, "tuning", required=("key", "values", "seeds"), optional=("methods", "samples", "budget")
    )  # fmt: skip
    own = dict.fromkeys(used)
    values = options["values"]
    if not isinstance(values, list) or len({repr(value) for value in values}) < max(2, len(values)):
        raise StudyError(f"tuning.values must list at least two different values, got {values!r}")
    return Tuning(
        fields.text(options["key"], "tuning.key"),
        tuple(values),
        fields.seeds(options["seeds"], "tuning.seeds"),
        fields.some_of(own, options.get("methods", "all"), "tuning.methods"),
        fields.whole(options.get("samples", 4), "tuning.samples"),
        _budget(options["budget"], "tuning.budget") if "budget" in options else None,
    )


def _evaluation(entry: Any, methods: Mapping[str, Method]) -> Evaluation:
    options = fields.mapping(entry, "evaluation", optional=("samples", "limit", "policies", "wide"))
    wide = None
    if options.get("wide") is not None:
        inner = fields.mapping(
            options["wide"], "evaluation.wide", required=("samples", "methods"), optional=("limit", "policy")
        )
        wide = Wide(
            fields.whole(inner["samples"], "evaluation.wide.samples"),
            fields.some_of(methods, inner["methods"], "evaluation.wide.methods"),
            _problems(inner.get("limit"), "evaluation.wide.limit"),
            fields.one_of(dict.fromkeys(POLICIES), inner.get("policy", "last"), "evaluation.wide.policy"),
        )
    return Evaluation(
        fields.whole(options.get("samples", 8), "evaluation.samples"),
        _problems(options.get("limit"), "evaluation.limit"),
        fields.some_of(dict.fromkeys(POLICIES), options.get("policies", "all"), "evaluation.policies"),
        wide,
    )


def _problems(value: Any, where: str) -> int | None:
    if value == 1:
        raise StudyError(f"{where} must be at least 2: intervals need two problems")
    return fields.optional_whole(value, where)


def _budget(entry: Any, where: str) -> Budget:
    options = fields.mapping(entry, where, optional=tuple(BUDGETS))
    if len(options) != 1:
        raise StudyError(f"{where} must name one of {', '.join(BUDGETS)}")
    [(unit, amount)] = options.items()
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 1 <= amount < float("inf"):
        raise StudyError(f"{where}.{unit} must be a number of at least 1, got {amount!r}")
    if unit != "wall_seconds" and amount != int(amount):
        raise StudyError(f"{where}.{unit} must be a whole number, got {amount!r}")
    return Budget(unit, amount)
