"""The page's tables say what the benchmark files say."""

import re
from pathlib import Path

from oger.evaluation.benchmark import read_benchmark, shipped

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()


def test_every_benchmark_is_on_the_page_with_its_source_problems_and_samples() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+)(?: \(.*?\))? \| (\d+) \| (\d+) \|", PAGE, re.MULTILINE)
    files = {
        (b.name, "/".join(filter(None, (b.source, b.config))), str(b.problems), str(b.samples))
        for b in shipped().values()
    }
    assert set(rows) == files


def test_what_a_file_calls_unverified_is_marked_on_the_page() -> None:
    for benchmark in shipped().values():
        [row] = [line for line in PAGE.splitlines() if line.startswith(f"| `{benchmark.name}` |")]
        assert ("(1" in row) == ("licence" in benchmark.unverified), benchmark.name
        assert ("2)" in row) == any("paper" in point for point in benchmark.unverified), benchmark.name


def test_the_example_file_of_the_page_is_a_benchmark(tmp_path: Path) -> None:
    [content] = re.findall(r"```yaml\n(title:.*?)```", PAGE, re.DOTALL)
    (tmp_path / "hard.yaml").write_text(content)
    benchmark = read_benchmark(tmp_path / "hard.yaml")
    assert (benchmark.name, benchmark.samples, benchmark.max_tokens) == ("hard", 16, 4096)
