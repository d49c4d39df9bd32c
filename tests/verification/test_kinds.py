"""Kinds are found by name: built in, registered by a package, or named by their function."""

import sys
from pathlib import Path

import pytest

from oger.verification import KINDS, Judgement, Kind, VerifierPool, load_kind
from oger.verification.gym_grader import reasoning_gym_scorer


def _correct(result: bool | Judgement) -> bool:
    return result.correct if isinstance(result, Judgement) else result


@pytest.mark.parametrize("name", KINDS)
def test_the_probe_of_a_built_in_kind_comes_out_right(name: str) -> None:
    kind = load_kind(name)
    assert kind.probe is not None
    gold, right, wrong, metadata = kind.probe
    assert _correct(kind.grade(gold, right, metadata)) is True
    assert _correct(kind.grade(gold, wrong, metadata)) is False


def test_exact_ignores_surrounding_space_only() -> None:
    grade = load_kind("exact").grade
    assert grade("B", " B\n", None)
    assert not grade("B", "b", None)


def test_reasoning_gym_scorers_are_kept() -> None:
    assert reasoning_gym_scorer("gcd") is reasoning_gym_scorer("gcd")


_MODULE = """
from oger.verification import Judgement
def same_length(gold, extracted, metadata):
    return len(gold) == len(extracted)
same_length.probe = ("ab", "xy", "x", None)
def judged(gold, extracted, metadata):
    return Judgement(gold == extracted, overruled=True, note="looked twice")
number = 7
"""


@pytest.fixture
def user_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package as pip leaves it: a module and a dist-info folder with an entry point."""
    name = f"user_kinds_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(_MODULE)
    info = tmp_path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[oger.kinds]\nlength_{name} = {name}:same_length\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return name


def test_an_entry_point_is_a_kind_in_the_workers_too(user_package: str) -> None:
    name = f"length_{user_package}"
    kind = load_kind(name)
    assert isinstance(kind, Kind)
    assert kind.name == name
    assert kind.probe == ("ab", "xy", "x", None)
    with VerifierPool(workers=1) as pool:
        verdicts = pool.verify_many(["ab"] * 2, [r"\boxed{xy}", r"\boxed{x}"], kind=name)
    assert [verdict.status for verdict in verdicts] == ["correct", "wrong"]


def test_a_function_is_a_kind_by_its_path(user_package: str) -> None:
    with VerifierPool(workers=1) as pool:
        verdict = pool.verify_many(["a"], [r"\boxed{a}"], kind=f"{user_package}:judged")[0]
    assert verdict.status == "correct"
    assert verdict.overruled


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mth", "did you mean 'math'"),
        ("choise", "did you mean 'choice'"),
        ("no_such_module_at_all:grade", "cannot be imported"),
        ("oger.verification.kinds:no_such_function", "has no 'no_such_function'"),
        ("oger.verification.kinds:ENTRY_POINT_GROUP", "not a function"),
        (":grade", "package.module:function"),
        ("oger.verification.kinds:", "package.module:function"),
    ],
)
def test_a_kind_that_is_not_there_is_one_clear_error(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_kind(name)


def test_an_unknown_kind_names_the_nearest_registered_one(user_package: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean 'length_{user_package}'"):
        load_kind(f"lenght_{user_package}")
