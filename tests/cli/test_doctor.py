"""`oger doctor`: a whole installation passes, a broken part is named and ends with 1."""

from __future__ import annotations

import pytest

from oger.cli.doctor import doctor
from oger.cli.main import app
from oger.planning import doctor as parts

if "doctor" not in [command.name for command in app.registered_commands]:
    app.command("doctor")(doctor)


def test_a_whole_installation_passes(oger) -> None:
    done = oger("doctor")
    assert done.code == 0, done.out
    for name in ("oger 0.", "CPU cores", "torch ", "verifier", "encoder", "training step"):
        assert name in done.out
    assert "vllm                  missing for use_vllm" in done.out or "vllm                  ok" in done.out
    assert "everything that a run needs works" in done.out


def test_a_part_that_fails_is_named_and_the_others_still_run(oger, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise OSError("the worker\ndied")

    monkeypatch.setattr(parts, "CHECKS", {"verifier": broken, "encoder": parts.CHECKS["encoder"]})
    done = oger("doctor")
    assert done.code == 1
    assert "broken  OSError: the worker died" in done.out
    assert "encoder               ok" in done.out
    assert "broken: verifier" in done.out


def test_a_required_version_that_is_too_old_is_broken() -> None:
    found = {finding.name: finding for finding in parts.required_versions({"trl": "1.15.0"})}
    assert found["trl"].fails
    assert "pip install 'trl" in found["trl"].detail
    assert not found["torch"].fails


def test_an_optional_part_that_cannot_be_imported_is_broken_and_fails_nothing(monkeypatch, tmp_path) -> None:
    (tmp_path / "half_installed.py").write_text("raise RuntimeError('no library')")
    monkeypatch.syspath_prepend(tmp_path)
    part = parts.OptionalPart(module="half_installed", package="half-installed", serves="nothing", install="it")
    monkeypatch.setattr(parts, "OPTIONAL", (part,))
    [finding] = parts.optional_parts()
    assert (finding.status, finding.detail, finding.fails) == ("broken", "RuntimeError: no library", False)


def test_an_encoder_whose_vectors_are_all_alike_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    import oger.encoders

    class Blind:
        def encode(self, texts: list[str]) -> torch.Tensor:
            return torch.ones(len(texts), 1)

    monkeypatch.setattr(oger.encoders, "create_encoder", lambda spec: Blind())
    monkeypatch.setattr(parts, "CHECKS", {"encoder": parts.CHECKS["encoder"]})
    [finding] = parts.self_test()
    assert finding.fails
