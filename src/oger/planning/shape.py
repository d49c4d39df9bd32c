"""The size of a policy without its weights: from a config.json, or from the published configurations of known models.

Counted are dense decoders of Llama's family (Llama, Mistral, Qwen2, Qwen3): embedding, layers of attention and gated
MLP with RMS norms, head. `num_parameters` is exact (tests/planning/test_shape.py against transformers).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oger.io.rows import WORLD_PREFIX

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Values of `model_type` that are counted."""


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a dense decoder."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    head_dim: int
    tied: bool
    """Embedding and head are one matrix."""
    qkv_bias: bool = False
    qk_norm: bool = False
    source: str = ""
    """Where the sizes are from, for people."""

    @property
    def linear_maps(self) -> dict[str, tuple[int, int]]:
        """Name -> (in, out) of the matrices of one layer, as LoRA's `target_modules` names them."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (self.hidden, q),
            "k_proj": (self.hidden, kv),
            "v_proj": (self.hidden, kv),
            "o_proj": (q, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer."""
        matrices = sum(rows * columns for rows, columns in self.linear_maps.values())
        bias = (self.heads + 2 * self.kv_heads) * self.head_dim if self.qkv_bias else 0
        return matrices + bias + 2 * self.hidden + (2 * self.head_dim if self.qk_norm else 0)

    @property
    def head_parameters(self) -> int:
        """Entries of the matrix from hidden states to logits."""
        return self.vocab * self.hidden

    @property
    def num_parameters(self) -> int:
        """All parameters; a tied head counts once."""
        ends = self.head_parameters * (1 if self.tied else 2)
        return ends + self.layers * self.layer_parameters + self.hidden

    @property
    def kv_values_per_token(self) -> int:
        """Numbers that a KV cache holds per token."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    def forward_flops(self, tokens: float, context: float) -> float:
        """FLOPs of a forward over `tokens` tokens, each of which attends to `context` tokens (2 per multiply-add)."""
        matrices = self.layers * sum(rows * columns for rows, columns in self.linear_maps.values())
        attention = 2 * self.layers * self.heads * self.head_dim * context
        return 2.0 * tokens * (matrices + self.head_parameters + attention)

    def update_flops(self, tokens: float, context: float, *, frozen: bool, checkpointing: bool) -> float:
        """FLOPs of a forward and its backward.

        The backward costs two forwards, one where the weights are frozen. TRL's head computes its logits again; a layer
        that is recomputed runs again up to the last value that its backward needs, the input of its last matrix.
        """
        forward = self.forward_flops(tokens, context)
        head = 2.0 * tokens * self.head_parameters
        last = 2.0 * tokens * self.layers * self.hidden * self.intermediate
        return (2 if frozen else 3) * forward + head + (forward - head - last if checkpointing else 0.0)

    def lora_parameters(self, arguments: Mapping[str, Any]) -> int:
        """Parameters of a LoRA adapter with these arguments of peft's LoraConfig.

        Raises:
            ValueError: `target_modules` names something else than the matrices of a layer.
        """
        wanted = arguments.get("target_modules") or ("q_proj", "v_proj")  # peft's own choice for these families
        names = list(self.linear_maps) if wanted == "all-linear" else [wanted] if isinstance(wanted, str) else wanted
        unknown = [name for name in names if name not in self.linear_maps]
        if unknown:
            raise ValueError(
                f"peft: the target_modules that oger plan counts are all-linear, {', '.join(self.linear_maps)}; "
                f"got {unknown[0]!r}"
            )
        per_rank = sum(sum(self.linear_maps[name]) for name in names)
        return int(arguments.get("r", 8)) * per_rank * self.layers


def _shape(
    hidden: int,
    intermediate: int,
    layers: int,
    heads: int,
    kv_heads: int,
    vocab: int,
    tied: bool,
    qkv_bias: bool = True,
) -> ModelShape:
    return ModelShape(
        hidden, intermediate, layers, heads, kv_heads, vocab, head_dim=hidden // heads, tied=tied, qkv_bias=qkv_bias
    )


KNOWN: Mapping[str, ModelShape] = {
    "Qwen2.5-0.5B": _shape(896, 4864, 24, 14, 2, 151_936, True),
    "Qwen2.5-1.5B": _shape(1536, 8960, 28, 12, 2, 151_936, True),
    "Qwen2.5-Math-1.5B": _shape(1536, 8960, 28, 12, 2, 151_936, True),
    "Qwen2.5-3B": _shape(2048, 11_008, 36, 16, 2, 151_936, True),
    "Qwen2.5-7B": _shape(3584, 18_944, 28, 28, 4, 152_064, False),
    "Qwen2.5-Math-7B": _shape(3584, 18_944, 28, 28, 4, 152_064, False),
    "Qwen2.5-14B": _shape(5120, 13_824, 48, 40, 8, 152_064, False),
    "Qwen2.5-32B": _shape(5120, 27_648, 64, 40, 8, 152_064, False),
    "SmolLM2-135M": _shape(576, 1536, 30, 9, 3, 49_152, True, qkv_bias=False),
    "Llama-3.1-8B": _shape(4096, 14_336, 32, 32, 8, 128_256, False, qkv_bias=False),
}
"""Published configurations, by the name that ids of the hub and of fine-tuned copies begin with."""

_WORLD_MODELS = {"word_problems": "SmolLM2-135M"}  # its own folder is made at the first use


def find_shape(model: str, num_parameters: int | None = None) -> ModelShape:
    """The shape of a recipe's model, without its weights and without a network.

    Args:
        model: a folder with config.json, a hub id (from the local cache or by its name), or world:NAME.
        num_parameters: for a model that is none of these: the known shape nearest in size, with as many layers as
            that number needs.

    Raises:
        ValueError: nothing is known about the model, or it is no dense decoder of a counted family.
    """
    if num_parameters is not None:
        return _with_parameters(num_parameters)
    world = model.removeprefix(WORLD_PREFIX)
    if world in _WORLD_MODELS and world != model:
        return _known(_WORLD_MODELS[world])
    from transformers import AutoConfig

    from oger.runs.policy import base_of, model_source

    source = model_source(model)
    source = base_of(source) or source
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        if Path(source).is_dir():
            raise ValueError(f"model: {source} holds no readable config.json: {str(error).splitlines()[0]}") from error
        return _known(_name_of(source))
    return shape_of_config(config, source=f"config.json of {model}")


def shape_of_config(config: Any, source: str = "") -> ModelShape:
    """The shape that a configuration of transformers describes.

    Raises:
        ValueError: it is no dense decoder of a counted family.
    """
    if config.model_type not in FAMILIES:
        raise ValueError(
            f"oger plan counts models of the families {', '.join(FAMILIES)}, and this one is {config.model_type!r}: "
            "give its size with --params"
        )
    attention_bias = config.model_type != "qwen2" and getattr(config, "attention_bias", False)
    if attention_bias or getattr(config, "mlp_bias", False):
        raise ValueError("the model has biases that oger plan does not count: give its size with --params")
    return ModelShape(
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        vocab=config.vocab_size,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        tied=config.tie_word_embeddings,
        qkv_bias=config.model_type == "qwen2",
        qk_norm=config.model_type == "qwen3",
        source=source,
    )


def _name_of(model: str) -> str:
    """The known name that the last part of a hub id or path begins with, else a ValueError that says what to do."""
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1].lower()
    fitting = [name for name in KNOWN if re.match(rf"{re.escape(name.lower())}(?![\w.])", last)]
    if not fitting:
        raise ValueError(
            f"model: nothing is known about the size of {model!r} (no local folder, not in the cache, none of "
            f"{', '.join(KNOWN)}): give its number of parameters, as in --params 1.5B"
        )
    return max(fitting, key=len)


def _known(name: str) -> ModelShape:
    return dataclasses.replace(KNOWN[name], source=f"published configuration of {name}")


def _with_parameters(wanted: int) -> ModelShape:
    name, shape = min(KNOWN.items(), key=lambda entry: abs(entry[1].num_parameters - wanted))
    ends = shape.num_parameters - shape.layers * shape.layer_parameters
    layers = max(1, round((wanted - ends) / shape.layer_parameters))
    return dataclasses.replace(shape, layers=layers, source=f"--params, in the proportions of {name}")
