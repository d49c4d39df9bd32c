"""Data choose no code: a kind that would import a module or a file is loaded only where the user named it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from oger.verification import accuracy_reward, accuracy_with, check_kinds_of_rows, close_pools, probe_rows
from tests.support.command import Outcome
from tests.support.planted import plain_row, read_rejects, write_jsonl

REFUSED = "as its kind, and rows alone load no code: list it under kinds"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a grader that leaves a mark when it is imported, and rows that name it."""
    monkeypatch.chdir(tmp_path)
    close_pools()  # workers that start from here on look for files here
    Path("grader.py").write_text(
        f"open({str(tmp_path / 'executed')!r}, 'w').close()\n"
        "def grade(gold, extracted, metadata=None):\n    return gold == extracted\n"
    )
    for number, kind in enumerate(("grader.py", "grader.py:grade", "grader:grade")):
        rows = [{"prompt": f"{n}+1=?", "answer": str(n + 1), "kind": kind, "teachers": []} for n in range(4)]
        write_jsonl(tmp_path / f"rows{number}.jsonl", rows)
    return tmp_path


@pytest.mark.parametrize("number", [0, 1, 2])
def test_rows_that_name_code_are_refused_wherever_rows_are_read(
    here: Path, run_folder: Path, oger: Callable[..., Outcome], number: int
) -> None:
    rows = f"rows{number}.jsonl"
    policy = run_folder / "model"
    for arguments in (
        ("train", "smoke", f"train={rows}", "output_dir=out"),
        ("evaluate", policy, "--data", rows, "--samples", "1", "--max-tokens", "4"),
        ("evaluate", policy, "--benchmarks", rows, "--out", "out", "--prompt-style", "text", "--max-tokens", "4"),
    ):
        done = oger(*arguments)
        assert done.code == 2, arguments
        assert REFUSED in done.err
    assert not (here / "executed").exists()
    assert not (here / "out").exists()


def test_what_the_user_names_is_loaded_and_stored_responses_ask_again(
    here: Path, run_folder: Path, oger: Callable[..., Outcome]
) -> None:
    policy, name = run_folder / "model", "grader.py:grade"
    options = ("--samples", "1", "--max-tokens", "4", "--kinds", name)
    assert oger("evaluate", policy, "--data", "rows1.jsonl", *options).code == 0
    benchmark = ("--benchmarks", "rows1.jsonl", "--out", "out", "--prompt-style", "text")
    assert oger("evaluate", policy, *benchmark, *options).code == 0
    assert (here / "executed").exists()
    (here / "executed").unlink()

    done = oger("evaluate", "--regrade", "out")
    assert (done.code, REFUSED in done.err) == (2, True)
    assert oger("evaluate", "--regrade", "out", "--kinds", name).code == 0


@pytest.mark.parametrize("kind", ["grader.py", "grader.py:grade", "grader:grade"])
def test_a_curation_sets_rows_aside_that_name_code(here: Path, oger: Callable[..., Outcome], kind: str) -> None:
    good = [plain_row(f"{n} + 1?", str(n + 1), f"I say \\boxed{{{n + 1}}}") for n in range(3)]
    write_jsonl(here / "source.jsonl", [*good, {**good[0], "prompt": "5 + 1?", "kind": kind}])
    source = ("--source", "mine=plain:source.jsonl", "--tokenizer", "words", "--workers", "1")
    assert oger("teachers", "curate", *source, "--out", "table").code == 0
    rejects = read_rejects(here / "table")
    assert {reject["reason"] for reject in rejects} == {"unknown kind"}
    assert any(REFUSED in reject["detail"] for reject in rejects)
    assert not (here / "executed").exists()


def test_a_recipe_lists_the_kinds_that_rows_may_name(here: Path) -> None:
    from oger.recipes import load_recipe
    from oger.training.run.rows import reward_functions

    recipe = load_recipe("smoke", ['kinds=["grader.py:grade"]'])
    reward = reward_functions(recipe)[0]
    columns = {"answer": ["2", "3"], "kind": ["grader.py:grade", None]}
    completions = [r"\boxed{2}", r"\boxed{3}"]
    assert reward(prompts=["", ""], completions=completions, **columns) == [1.0, 1.0]
    with pytest.raises(ValueError, match="kinds must be a list"):
        load_recipe("smoke", ["kinds=grader.py:grade"])


def test_the_reward_the_probe_and_the_check_refuse_alike(here: Path) -> None:
    rows = [json.loads(line) for line in Path("rows1.jsonl").read_text().splitlines()]
    column = {"answer": ["1"], "kind": ["grader.py:grade"]}
    for ask in (
        lambda: check_kinds_of_rows(["grader.py:grade"]),
        lambda: probe_rows(rows),
        lambda: accuracy_reward(prompts=[""], completions=["1"], **column),
        lambda: accuracy_with(["whole"])(prompts=[""], completions=["1"], **column),
    ):
        with pytest.raises(ValueError, match="rows alone load no code"):
            ask()
    assert not (here / "executed").exists()
    assert accuracy_with(["whole"], kinds=["grader.py:grade"])(prompts=[""], completions=["1"], **column) == [1.0]
