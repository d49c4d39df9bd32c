"""What transformers loads, and the one line where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from oger.io.pretrained import is_adapter, is_model, load_tokenizer
from oger.terminal.errors import UserError
from tests.support.tiny import tiny_tokenizer


def test_a_tokenizer_is_loaded_with_the_options_that_are_given(tmp_path: Path) -> None:
    tiny_tokenizer().save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path), padding_side="left").padding_side == "left"
    assert load_tokenizer(str(tmp_path))("1+1")["input_ids"] == tiny_tokenizer()("1+1")["input_ids"]


def test_a_tokenizer_that_is_not_there_is_one_line_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot load the tokenizer '.*': ") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"cannot load the tokenizer 'runs/a \(best\)': "):
        load_tokenizer(str(tmp_path), label="runs/a (best)")


def test_models_and_adapters_are_told_by_their_files(tmp_path: Path) -> None:
    assert not is_model(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert is_model(tmp_path)
    assert is_adapter(str(tmp_path))
    (tmp_path / "adapter_config.json").rename(tmp_path / "config.json")
    assert is_model(tmp_path)
    assert not is_adapter(str(tmp_path))
