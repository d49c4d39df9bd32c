"""What looks like a path is one: the hub is never asked for it, and a near name is offered."""

from __future__ import annotations

from pathlib import Path

import pytest

from oger.encoders.source import find_model
from oger.io.local import looks_local, meant
from oger.io.pretrained import load_tokenizer
from oger.io.rows import SourceError, load_rows
from oger.runs.policy import locate_policy, locate_target, model_source
from oger.terminal.errors import UserError

LOCAL = ("runs/quickstrt", "./mine", "../mine", "/no/such", "~/mine", "data/trian", "data/deep/er")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("runs/quickstart", "data/train"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def asked(*_: object, **__: object) -> None:
        pytest.fail("the hub was asked")

    for function in ("huggingface_hub.snapshot_download", "huggingface_hub.hf_hub_download", "datasets.load_dataset"):
        monkeypatch.setattr(function, asked)
    monkeypatch.setattr("transformers.utils.hub.cached_file", asked)
    return tmp_path


@pytest.mark.parametrize("name", LOCAL)
def test_a_path_that_is_not_there_never_asks_the_hub(name: str) -> None:
    assert looks_local(name)
    with pytest.raises(UserError, match="no such run or model"):
        locate_policy(name)
    with pytest.raises(FileNotFoundError, match="no such run or model"):
        model_source(name)
    with pytest.raises(SourceError, match="does not exist"):
        load_rows(name)
    with pytest.raises(UserError, match="does not exist"):
        load_tokenizer(name)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_model(name, encoder="static")


def test_a_near_name_is_offered() -> None:
    with pytest.raises(UserError, match=r"did you mean runs/quickstart\?"):
        locate_target("runs/quickstrt@best")
    with pytest.raises(SourceError, match=r"did you mean data/train\?"):
        load_rows("data/trian")
    assert meant("runs/nothing-like-it") == ""
    assert meant("nowhere/at/all") == ""


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-0.5B", "gpt2", "openai/gsm8k"])
def test_a_hub_id_is_none(name: str) -> None:
    assert not looks_local(name)
