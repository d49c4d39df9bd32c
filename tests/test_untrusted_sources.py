"""What is read from files runs nothing: no eval, no pickle, no code of a model."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import oger as package
from oger.reporting.report.run_folder import RunFolder
from oger.reporting.report.stored_map import _encoder
from tests.support.command import Outcome, save_policy
from tests.support.planted import write_jsonl

SOURCE = Path(package.__file__).parent
PIPES = (
    "verification/pool/worker.py",
    "verification/pool/frames.py",
    "evaluation/backends/process_worker.py",
    "evaluation/backends/processes.py",
)
"""They unpickle what another process of the same command sent through a pipe."""


def calls() -> Iterator[tuple[str, str, dict[str, str]]]:
    """(file, function, keyword arguments) of every call in the package."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                options = {word.arg: ast.unparse(word.value) for word in node.keywords if word.arg}
                yield path.relative_to(SOURCE).as_posix(), ast.unparse(node.func), options


def test_nothing_is_evaluated_or_unpickled_from_a_file() -> None:
    forbidden = ("eval", "exec", "compile", "__import__", "os.system", "os.popen", "joblib.load", "marshal.loads")
    yaml_loaders = {name for _, name, _ in calls() if name.startswith("yaml.") and "load" in name}
    assert not yaml_loaders  # io/yaml.py composes with a safe loader of its own
    for file, name, options in calls():
        assert name not in forbidden, (file, name)
        assert name not in ("pickle.load", "pickle.loads") or file in PIPES, (file, name)
        assert name != "torch.load" or options.get("weights_only") == "True", file
        assert name not in ("np.load", "numpy.load") or options.get("allow_pickle") == "False", file
        assert options.get("shell") != "True", (file, name)


def test_code_of_a_model_is_not_trusted_unless_asked(tmp_path: Path, oger: Callable[..., Outcome]) -> None:
    said = {options["trust_remote_code"] for _, _, options in calls() if "trust_remote_code" in options}
    assert said == {"False", "trust_remote_code", "args.trust_remote_code"}  # off, or handed on from an option

    model, marker = tmp_path / "model", tmp_path / "executed"
    save_policy(model, 0)
    (model / "own.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Own: ...\n")
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((model / name).read_text())
        content["model_type"] = "own"
        content["auto_map"] = {
            "AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own", "AutoTokenizer": ["own.Own", None],
        }  # fmt: skip
        (model / name).write_text(json.dumps(content))
    write_jsonl(tmp_path / "rows.jsonl", [{"prompt": "1+1=?", "answer": "2", "teachers": ["2"]}] * 8)
    for arguments in (
        ("train", "smoke", f"model={model}", f"train={tmp_path / 'rows.jsonl'}", f"output_dir={tmp_path / 'run'}"),
        ("evaluate", model, "--data", tmp_path / "rows.jsonl", "--samples", "1"),
        ("sample", model, "1+1=?"),
    ):
        done = oger(*arguments)
        assert done.code == 2, arguments
        assert "error: " in done.err
        assert "Traceback" not in done.err
    assert not marker.exists()


@pytest.mark.parametrize(
    "encoder", ["sentence-transformers:models", "policy-init:models", "mine:encoder", "mine.py:encoder"]
)
def test_a_report_trusts_no_code_of_an_encoders_model(encoder: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    spec = encoder.replace("models", str(folder))
    run = RunFolder(
        path=tmp_path, label="run", config={"encoder": spec, "encoder_options": {"trust_remote_code": True}}
    )
    made, said = _encoder(run)
    assert made.identity.name.startswith("ngram")
    assert "not of the run's encoder" in said
    assert "a report runs no code that a run names" in run.problems[0]
