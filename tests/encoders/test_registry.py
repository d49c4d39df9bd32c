"""Encoders are found by name, by entry point or by the place of a function; everything else is one clear line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from oger.encoders import check_spec, create_encoder, encoder_names, resolve_spec
from oger.encoders.ngram import NgramEncoder
from tests.support.encoder_models import make_policy, make_static

OWN_ENCODER = """
import torch
from oger.encoders import EncoderIdentity

class Lengths:
    identity = EncoderIdentity(name="lengths", revision="1", dimension=2, window=None, pooling="none")
    def encode(self, texts):
        return torch.tensor([[1.0, 0.0] if len(text) % 2 else [0.0, 1.0] for text in texts])

def make(argument, *, scale=1.0):
    made = Lengths()
    made.argument, made.scale = argument, scale
    return made

def nothing(argument):
    return object()

ROWS = []
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_lengths.py").write_text(OWN_ENCODER)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_lengths"
    sys.modules.pop("own_lengths", None)


def test_the_shipped_encoders_are_known() -> None:
    assert {"ngram", "policy-init", "sentence-transformers", "static"} <= set(encoder_names())


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("ngrams", {}, "unknown encoder 'ngrams'; did you mean 'ngram'"),
        ("sentence_transformers", {}, "did you mean 'sentence-transformers'"),
        ("zzz", {}, "Valid: ngram, policy-init"),
        ("", {}, "unknown encoder ''"),
        ("zzz:make", {}, "unknown encoder 'zzz'"),
        ("no.such.module:make", {}, "unknown encoder 'no.such.module'"),
        ("ngram:5", {}, "unknown sort of n-gram '5'"),
        ("ngram", {"feature": 5}, "unknown option of the encoder 'ngram' 'feature'; did you mean 'features'"),
        ("ngram", {"prat": "full"}, "did you mean 'part'"),
        ("ngram", {"part": "equation"}, "unknown part 'equation'; did you mean 'equations'"),
        ("ngram", {"features": 0}, "features=0 must be a whole number above 0"),
        ("ngram", {"features": True}, "features=True"),
        ("ngram", {"lengths": [3]}, "must be two whole numbers"),
        ("ngram", {"lengths": [4, 2]}, "shortest, longest"),
        ("ngram", {"lengths": "24"}, "must be two whole numbers"),
        ("static", {}, "needs a model: write static:FOLDER"),
        ("policy-init", {}, "needs a model: write policy-init:FOLDER"),
        ("policy-init:x", {"dtype": "float23"}, "unknown dtype 'float23'; did you mean 'float32'"),
        ("policy-init:x", {"device": "gpu"}, "device='gpu' cannot be used"),
        ("policy-init:x", {"batch_tokens": 0}, "batch_tokens=0 must be a whole number above 0"),
        ("sentence-transformers:x", {"promt": "a"}, "did you mean 'prompt'"),
        ("sentence-transformers:x", {"prompt": "a", "prompt_name": "b"}, "contradict"),
        ("static:no-such/model", {}, "is no folder, and the hub gives no such model"),
    ],
)
def test_a_wrong_spec_or_option_is_one_clear_line(spec: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace("[", r"\[")) as caught:
        create_encoder(spec, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["static", "policy-init", "sentence-transformers"])
def test_a_folder_that_does_not_exist_or_holds_no_model_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent does not exist"):
        create_encoder(f"{name}:{tmp_path / 'absent'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no"):
        create_encoder(f"{name}:{tmp_path / 'empty'}")


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder"):
        create_encoder(f"static:{make_static(tmp_path)}", revision="main")


def test_a_window_beyond_the_positions_is_refused(tmp_path: Path) -> None:
    folder = make_policy(tmp_path)
    assert create_encoder(f"policy-init:{folder}", device="cpu", window=16).identity.window == 16
    with pytest.raises(ValueError, match="at most 128"):
        create_encoder(f"policy-init:{folder}", device="cpu", window=129)


def test_names_are_checked_without_loading_anything() -> None:
    check_spec("sentence-transformers:/no/such/folder", device="cpu", part="final")
    with pytest.raises(ValueError, match="did you mean 'device'"):
        check_spec("sentence-transformers:/no/such/folder", devise="cpu")


def test_policy_init_is_completed_by_the_policy_of_the_run() -> None:
    assert resolve_spec("policy-init", "models/base") == "policy-init:models/base"
    assert resolve_spec("policy-init:other", "models/base") == "policy-init:other"
    assert resolve_spec("ngram:word", None) == "ngram:word"
    with pytest.raises(ValueError, match="write policy-init:FOLDER"):
        resolve_spec("policy-init", None)


def test_an_own_function_makes_an_encoder(own_module: str) -> None:
    made = create_encoder(f"{own_module}:make:some:thing", scale=2.0, part="equations")
    assert made.identity.part == "equations"
    assert made.encode(["one 1", "two 22 ="]).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    inner = create_encoder(f"{own_module}:make:some:thing", scale=2.0)
    assert (inner.argument, inner.scale) == ("some:thing", 2.0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("mak", "own_lengths has no 'mak'"),
        ("ROWS", "is a list, not a function"),
        ("nothing", "made a object, which has no identity"),
    ],
)
def test_an_own_function_that_is_none_is_refused(own_module: str, function: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_encoder(f"{own_module}:{function}")


def test_unknown_options_of_an_own_function_are_refused(own_module: str) -> None:
    with pytest.raises(ValueError, match="did you mean 'scale'"):
        create_encoder(f"{own_module}:make", scales=1)


def test_an_installed_package_adds_an_encoder_by_entry_point(own_module: str, tmp_path: Path) -> None:
    info = tmp_path / "own_lengths-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-lengths\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[oger.encoders]\nlengths = own_lengths:make\nbroken = own_lengths:gone\nngram = own_lengths:make\n"
    )
    assert "lengths" in encoder_names()
    assert create_encoder("lengths:7").argument == "7"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="did you mean 'lengths'"):
        create_encoder("lenghts")
    with pytest.raises(ValueError, match=r"'broken'.* has no 'gone'"):
        create_encoder("broken")
    assert isinstance(create_encoder("ngram"), NgramEncoder)  # a package cannot replace a shipped encoder unseen


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("static", "model2vec", "model2vec"), ("sentence-transformers", "sentence_transformers", "sentence-transformers")],
)
def test_a_missing_library_is_named_with_what_to_install(
    name: str, module: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"needs {module}: pip install {package}$"):
        create_encoder(f"{name}:{tmp_path}")
