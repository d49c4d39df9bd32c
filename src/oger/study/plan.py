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
    claims:                          # optional, evaluated as holds / does not hold / cannot tell
      - {contrast: [oger, grpo], metric: accuracy, direction: ahead, places: [reachable/id]}
    evaluation: {samples: 8, limit: null, wide: {samples: 64, limit: 100, methods: [grpo, oger]}}

`method: null` leaves the recipe's own method. `tuning` trains every method once per value and tuning seed, by the
study's budget or its own `budget`, and takes the value with the highest accuracy on the validation split; no test
split is read for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from oger.io import yaml as yaml_dialect
from oger.io.models import PLACE, Entry, Text, Whole, checked
from oger.study import fields
from oger.study.fields import StudyError

DIRECTIONS = ("ahead", "behind")
ACCURACY, FORMAT_BLIND, DISTINCT = "accuracy", "format_blind", "distinct"
METRICS = (ACCURACY, FORMAT_BLIND, DISTINCT)
"""Of claims, beside pass@K: accuracy of one sample, the same without regard to format, and different correct solutions
per problem in the wide evaluation."""
PASS_AT = "pass@"

BASE = "base"
"""Label of the untrained policy, which is measured once per regime."""

BUDGETS = {"steps": "max_steps", "generated_tokens": "max_generated_tokens", "wall_seconds": "max_train_seconds"}
"""Unit of a budget -> recipe key."""

POLICIES = ("last", "best")


class Budget(Entry):
    """What a cell may spend: one of the three."""

    steps: fields.WholeAmount | None = None
    generated_tokens: fields.WholeAmount | None = None
    wall_seconds: fields.Amount | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Budget:
        if [self.steps, self.generated_tokens, self.wall_seconds].count(None) != 2:
            raise StudyError(f"{PLACE} must name one of {', '.join(BUDGETS)}")
        return self

    @property
    def unit(self) -> str:
        """One of `BUDGETS`."""
        return next(unit for unit in BUDGETS if getattr(self, unit) is not None)

    @property
    def keys(self) -> dict[str, Any]:
        """The recipe keys that say so."""
        amount = getattr(self, self.unit)
        whole = {BUDGETS[self.unit]: amount if self.unit == "wall_seconds" else int(amount)}
        # Another limit decides: the number of steps must not be reached before it.
        return whole if self.unit == "steps" else {"max_steps": 10**7, **whole}

    def __str__(self) -> str:
        return f"{getattr(self, self.unit):,.0f} {self.unit.replace('_', ' ')}"


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


class Block(Entry):
    """One entry of the grid."""

    regimes: fields.Names = ()
    methods: fields.Names = ()
    seeds: fields.Seeds = ()


class Tuning(Entry):
    """One recipe key, chosen per method and regime on the validation split."""

    key: Text
    values: Annotated[tuple[Any, ...], fields.Different]
    seeds: fields.Seeds
    methods: fields.Names = ()
    samples: Whole = 4
    """Per validation problem."""
    budget: Budget | None = None
    """None: the method's own."""


_Policies = Annotated[fields.Names, AfterValidator(lambda names: fields.some_of(POLICIES, names))]


class Wide(Entry):
    """Many samples of some methods' policies, for pass@k with a large k."""

    samples: Whole
    methods: fields.Names
    limit: fields.Problems = None
    policy: Annotated[Any, AfterValidator(lambda name: fields.one_of(POLICIES, name))] = "last"


class Evaluation(Entry):
    """What is drawn from each trained policy on each test split."""

    samples: Whole = 8
    limit: fields.Problems = None
    policies: _Policies = POLICIES
    wide: Wide | None = None


@dataclass(frozen=True)
class Claim:
    """What is said of two methods; evaluated as it stands."""

    method: str
    other: str
    """A method, or `BASE`."""
    metric: str
    """A word of `METRICS`, or "pass@K"."""
    direction: str
    """Of `method` beside `other`: a word of `DIRECTIONS`."""
    places: tuple[tuple[str, str], ...]
    """(regime, split)."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A checked study."""

    name: str
    recipe: str
    reference: str
    regimes: Mapping[str, Regime]
    methods: Mapping[str, Method]
    blocks: tuple[Block, ...]
    description: str
    keys: Mapping[str, Any]
    tuning: Tuning | None
    evaluation: Evaluation
    contrasts: tuple[tuple[str, str], ...]
    """Pairs of methods to compare beside the comparisons to the reference."""
    claims: tuple[Claim, ...]

    @property
    def grid(self) -> list[tuple[str, str, int]]:
        """(regime, label, seed) of every cell that is trained, each once, in the order of the blocks."""
        cells = (
            (regime, label, seed)
            for block in self.blocks
            for label in block.methods
            for regime in block.regimes
            for seed in block.seeds
        )
        return list(dict.fromkeys(cells))


class _Method(Entry):
    """A method as it stands in the file."""

    method: Text | None = None
    keys: fields.Keys = Field({}, alias="set")
    budget: Budget | None = None
    like: Any = None


class _Claim(Entry):
    """A claim as it stands in the file."""

    contrast: Any
    metric: Text = ACCURACY
    direction: Annotated[Any, AfterValidator(lambda word: fields.one_of(DIRECTIONS, word))]
    places: fields.Names = ()


class _Regime(Entry, extra="allow"):
    """A regime as it stands in the file, recipe keys among its own."""

    train: Any
    validation: Any
    test: Annotated[dict[str, Text], fields.Named]
    target: fields.Accuracy | None = None


class _File(Entry):
    """The file, before its parts are put together."""

    name: fields.Name
    recipe: Text
    reference: Any
    budget: Budget
    regimes: Annotated[dict[str, _Regime], fields.Named]
    methods: Annotated[dict[str, Any], fields.Named]
    seeds: fields.Seeds
    description: Text = "-"
    keys: fields.Keys = Field({}, alias="set")
    grid: Any = None
    contrasts: Any = None
    claims: Any = None
    tuning: Tuning | None = None
    evaluation: Annotated[Evaluation, BeforeValidator(lambda value: value or {})] = Evaluation()


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
        return make_study(yaml_dialect.load(yaml_dialect.read_text(path)), folder=path.parent)
    except ValueError as error:
        raise StudyError(f"{path}: {error}") from error


def make_study(document: Any, *, folder: Path = Path()) -> Study:
    """The study that a mapping describes; a recipe that is a file is looked for beside it first."""
    file = checked(lambda: _File.model_validate(document), StudyError, "the study")
    regimes = {name: _regime(name, regime, document["regimes"][name]) for name, regime in file.regimes.items()}
    methods = _methods(file.methods, file.budget)
    blocks = _grid(file.grid, regimes, methods, file.seeds)
    used = {methods[label].like or label for block in blocks for label in block.methods}
    tuning, evaluation = file.tuning, file.evaluation
    if tuning is not None:
        chosen = fields.some_of([label for label in methods if label in used], tuning.methods, "tuning.methods")
        tuning = tuning.model_copy(update={"methods": chosen})
    if evaluation.wide is not None:
        chosen = fields.some_of(methods, evaluation.wide.methods, "evaluation.wide.methods")
        evaluation = evaluation.model_copy(update={"wide": evaluation.wide.model_copy(update={"methods": chosen})})
    beside = folder / file.recipe
    return Study(
        name=file.name,
        recipe=str(beside) if os.path.isfile(beside) else file.recipe,
        reference=fields.one_of(methods, file.reference, "reference"),
        regimes=regimes,
        methods=methods,
        blocks=blocks,
        description=file.description,
        keys=file.keys,
        tuning=tuning,
        evaluation=evaluation,
        contrasts=_contrasts(file.contrasts or [], methods),
        claims=_claims(file.claims or [], methods, regimes, evaluation),
    )


def _regime(name: str, regime: _Regime, entry: Mapping[str, Any]) -> Regime:
    keys = {key: value for key, value in entry.items() if key not in ("test", "target")}
    return Regime(name, keys, regime.test, regime.target)


def _contrasts(entries: Any, methods: Iterable[str], where: str = "contrasts") -> tuple[tuple[str, str], ...]:
    if not (isinstance(entries, list) and all(isinstance(e, list) and len(e) == 2 and e[0] != e[1] for e in entries)):
        raise StudyError(f"{where} must be a list of pairs of different methods, got {entries!r}")
    return tuple((fields.one_of(methods, a, where), fields.one_of(methods, b, where)) for a, b in entries)


def _claims(
    entries: Any, methods: Mapping[str, Method], regimes: Mapping[str, Regime], evaluation: Evaluation
) -> tuple[Claim, ...]:
    if not isinstance(entries, list):
        raise StudyError("claims must be a list of {contrast, metric, direction, places}")
    places = {f"{regime.name}/{split}": (regime.name, split) for regime in regimes.values() for split in regime.test}
    claims = []
    for number, entry in enumerate(entries, start=1):
        where = f"claim {number}"
        claim = checked(partial(_Claim.model_validate, entry), StudyError, where, f"{where}, ")
        [(method, other)] = _contrasts([claim.contrast], [*methods, BASE], f"{where}, contrast")
        if method == BASE:
            raise StudyError(f"{where}, contrast: a claim is of a method, and {BASE} may only be the second")
        chosen = fields.some_of(places, claim.places, f"{where}, places")
        _check_metric(claim.metric, (method, other), evaluation, where)
        claims.append(Claim(method, other, claim.metric, claim.direction, tuple(places[name] for name in chosen)))
    return tuple(claims)


def _check_metric(metric: str, methods: tuple[str, str], evaluation: Evaluation, where: str) -> None:
    """Whether the metric is measured on both methods."""
    wide = evaluation.wide
    if metric.startswith(PASS_AT):
        k = metric.removeprefix(PASS_AT)
        if not k.isdecimal() or not 1 <= int(k) <= (wide.samples if wide is not None else 0):
            raise StudyError(f"{where}, metric: {metric} needs evaluation.wide with as many samples")
    else:
        fields.one_of(METRICS, metric, f"{where}, metric")
    if metric not in (ACCURACY, FORMAT_BLIND):
        if wide is None:
            raise StudyError(f"{where}, metric: {metric} needs evaluation.wide")
        for method in methods:
            fields.one_of((BASE, *wide.methods), method, f"{where}: method of evaluation.wide")


def _methods(entries: Mapping[str, Any], common: Budget) -> dict[str, Method]:
    methods: dict[str, Method] = {}
    for label, entry in entries.items():
        if label == BASE:
            raise StudyError(f"the label {BASE!r} stands for the untrained policy: name the method otherwise")
        where = f"methods.{label}"
        own = checked(partial(_Method.model_validate, entry or {}), StudyError, where, f"{where}.")
        if own.like is not None and (not isinstance(own.like, str) or own.like not in methods):
            raise StudyError(f"{where}.like must be a method above it: {', '.join(methods) or 'there is none'}")
        parent = Method(label, label, {}, common) if own.like is None else methods[own.like]
        methods[label] = Method(
            label,
            own.method if "method" in own.model_fields_set else parent.method,
            {**parent.keys, **own.keys},
            own.budget or parent.budget,
            own.like and (parent.like or own.like),
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
        block = checked(partial(Block.model_validate, entry), StudyError, where, f"{where}.")
        chosen = {
            "regimes": fields.some_of(regimes, block.regimes, f"{where}, regimes"),
            "methods": fields.some_of(methods, block.methods, f"{where}, methods"),
            "seeds": block.seeds or seeds,
        }
        blocks.append(block.model_copy(update=chosen))
    return tuple(blocks)
