"""`oger evaluate` and `oger sample` on tiny policies."""

import json


def test_a_run_is_evaluated_on_its_own_test_sets(oger, run_folder, tmp_path) -> None:
    report = tmp_path / "report.json"
    result = oger("evaluate", run_folder, "--out", report)
    assert result.code == 0, result.err
    assert "pass@1" in result.out
    assert "by family" in result.out
    saved = json.loads(report.read_text())
    assert saved["sets"]["id"]["problems"] == 3
    assert saved["sets"]["id"]["samples"] == 2
    assert set(saved["families"]) == {"id: sum", "id: other"}
    assert saved["max_new_tokens"] == 6


def test_options_win_over_the_recipe(oger, run_folder, tmp_path) -> None:
    report = tmp_path / "report.json"
    data = run_folder / "test.jsonl"
    arguments = ("--data", data, "--samples", 9, "--limit", 2, "--temperature", 0.5, "--max-tokens", 4)
    assert oger("evaluate", run_folder, "--checkpoint", "best", "--out", report, *arguments).code == 0
    saved = json.loads(report.read_text())
    numbers = saved["sets"][str(data)]
    assert (numbers["problems"], numbers["samples"]) == (2, 9)
    assert numbers["pass@8"] is not None
    assert (saved["temperature"], saved["max_new_tokens"]) == (0.5, 4)


def test_the_seed_decides_the_result(oger, run_folder, tmp_path) -> None:
    def lengths(name: str, seed: int) -> float:
        path = tmp_path / f"{name}.json"
        assert oger("evaluate", run_folder, "--seed", seed, "--samples", 8, "--out", path).code == 0
        return json.loads(path.read_text())["sets"]["id"]["length"]

    assert lengths("a", 1) == lengths("b", 1) != lengths("c", 2)


def test_a_report_is_never_overwritten(oger, run_folder, tmp_path) -> None:
    report = tmp_path / "report.json"
    report.write_text("mine")
    result = oger("evaluate", run_folder, "--out", report)
    assert (result.code, report.read_text()) == (2, "mine")
    assert "exists already" in result.err


def test_a_model_without_test_sets_needs_data(oger, run_folder) -> None:
    result = oger("evaluate", run_folder / "best")
    assert result.code == 2
    assert "add --data SOURCE" in result.err


def test_rows_without_an_answer_are_refused(oger, run_folder, tmp_path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "1+1=?", "anwser": "2"}\n')
    result = oger("evaluate", run_folder / "best", "--data", path)
    assert result.code == 2
    assert "row 0 has no column 'answer'; rename 'anwser'" in result.err


def test_samples_are_numbered_and_follow_the_seed(oger, run_folder) -> None:
    first = oger("sample", run_folder, "1+2=?", "--samples", 3)
    assert first.code == 0, first.err
    assert [line.split()[1] for line in first.out.splitlines() if line.startswith("---")] == ["1", "2", "3"]
    assert oger("sample", run_folder, "1+2=?", "--samples", 3).out == first.out
    assert oger("sample", run_folder, "1+2=?", "--samples", 3, "--seed", 9).out != first.out
