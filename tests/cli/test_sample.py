"""`oger sample`: the policies that other commands know by the same words."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("target", ["{run}@2", "{run}@best", "{run}/best"])
def test_a_policy_is_named_as_for_an_evaluation(oger, run_folder, target: str) -> None:
    done = oger("sample", target.format(run=run_folder), "1+1=?", "--samples", 1, "--max-tokens", 4)
    assert done.code == 0, done.err
    assert done.out.startswith("--- 1 (")


def test_a_step_that_is_not_there_is_one_line(oger, run_folder) -> None:
    done = oger("sample", f"{run_folder}@99", "1+1=?")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "99" in done.err
