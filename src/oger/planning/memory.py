"""Memory per GPU, part by part, each with the arithmetic that gave it.

The bytes of activations per token and layer are what torch's autograd saves for a layer of Qwen2 in transformers
(tests/planning/test_memory.py measures them); a batch with padding carries its mask through every layer and repeats
keys and values for every head, unless attention is flash attention.
"""

from __future__ import annotations

from dataclasses import dataclass

from oger.planning.setting import SHARDINGS, Setting

GIB = 2**30

_TILE = 4096 * 32_768
"""Logits that TRL's fused head holds at once (trl.kernels.chunked_logprob)."""


@dataclass(frozen=True)
class Part:
    """One use of memory, bytes per GPU."""

    name: str
    bytes: float
    why: str
    when: str = "always"
    """always | train | generate"""


def memory_parts(setting: Setting) -> list[Part]:
    """What lies in the memory of one GPU that trains."""
    return [part for part in (*_model(setting), *_training(setting), *_generation(setting)) if part.bytes > 0]


def peak_bytes(parts: list[Part]) -> dict[str, float]:
    """ "train" and "generate" -> bytes that are in use at once."""
    return {
        phase: sum(part.bytes for part in parts if part.when in ("always", phase)) for phase in ("train", "generate")
    }


def activation_bytes_per_token(setting: Setting) -> tuple[float, float]:
    """(what a layer saves for its backward, what enters a layer), bytes per token."""
    shape, padded = setting.shape, not setting.flash
    kv = shape.kv_heads * shape.head_dim
    repeated = 2 * shape.heads * shape.head_dim if padded else 2 * kv  # values of K and V
    small = 4 * shape.heads + 8
    if not setting.bf16:
        mask = 4 * setting.width if padded else 0
        return 32 * shape.hidden + 16 * shape.intermediate + 4 * repeated + mask + small, 4 * shape.hidden
    mask = 2 * setting.width if padded else 0
    rest = 8 * shape.intermediate + 2 * repeated + mask + small
    if _casts(setting):
        return 30 * shape.hidden + rest, 4 * shape.hidden
    return 20 * shape.hidden + rest, 2 * shape.hidden


def kv_capacity(setting: Setting) -> float:
    """Tokens whose keys and values fit beside the weights of one vLLM engine."""
    weights = 2 * setting.shape.num_parameters / setting.tensor_parallel
    share = setting.vllm_share if setting.engine == "colocate" else 0.9
    room = share * setting.device.memory_gib * GIB - weights - 1.5 * GIB
    return max(room, 0.0) * setting.tensor_parallel / (2 * setting.shape.kv_values_per_token)


def _casts(setting: Setting) -> bool:
    """Whether autocast makes bfloat16 copies of float32 weights, and the residual stream stays float32."""
    return setting.bf16 and setting.weight_bytes == 4 and setting.sharding == "none"


def _model(setting: Setting) -> list[Part]:
    shape, how, gpus = setting.shape, SHARDINGS[setting.sharding], setting.num_gpus
    total, trained = shape.num_parameters, setting.trained
    held = setting.weight_bytes * total + (4 * trained if setting.lora else 0)
    adapter = 4 if setting.lora else setting.weight_bytes
    master = 4 if how.bf16_weights and setting.bf16 and not setting.lora else 0
    # torch's AdamW keeps its states in the dtype of the parameter; DeepSpeed keeps them in float32.
    states = setting.state_bytes * (1 if master or adapter == 4 else 0.5) + master

    def split(part: bool) -> tuple[int, str]:
        return (gpus, f" / {gpus}") if part and gpus > 1 else (1, "")

    by_w, say_w = split(how.weights)
    by_g, say_g = split(how.gradients)
    by_o, say_o = split(how.optimiser)
    plus = f" + {_count(trained)} x 4 B of the adapter" if setting.lora else ""
    copy = ", float32 copy included" if master else ""
    parts = [
        Part("weights", held / by_w, f"{_count(total)} x {setting.weight_bytes} B{plus}{say_w}"),
        Part("gradients", adapter * trained / by_g, f"{_count(trained)} x {adapter} B{say_g}", "train"),
        Part(
            f"optimiser ({setting.optimiser})",
            states * trained / by_o,
            f"{_count(trained)} x {states:g} B{say_o}{copy}",
        ),
    ]
    if _casts(setting):
        parts.append(Part("bfloat16 copies", 2 * total, f"autocast, {_count(total)} x 2 B", "train"))
    if by_w > 1:
        gathered = 2 * (2 * shape.layer_parameters + shape.head_parameters * (1 if shape.tied else 2))
        parts.append(Part("gathered weights", gathered, "two layers, embedding and head in bfloat16", "train"))
    if setting.reference:
        parts.append(Part("reference policy", setting.weight_bytes * total / by_w, f"beta is not 0{say_w}"))
    if setting.encoder_bytes:
        room = setting.encoder_bytes + 0.5 * GIB
        parts.append(Part("encoder", room, f"{setting.encoder}, and 0.5 GiB to run it"))
    overhead = setting.assumptions.overhead_gib * GIB
    return [*parts, Part("overhead", overhead, "context, buffers, fragmentation (--overhead)")]


def _training(setting: Setting) -> list[Part]:
    shape = setting.shape
    tokens = setting.joined_rows * setting.width
    saved, entering = activation_bytes_per_token(setting)
    rows = f"{setting.joined_rows:g} rows x {setting.width:,} tokens"
    workspace = 3 * shape.intermediate * (2 if setting.bf16 else 4)
    if setting.checkpointing:
        per_token = shape.layers * entering + saved + workspace
        why = f"{rows} x ({shape.layers} layers x {entering:,} B + one layer {saved + workspace:,} B)"
    else:
        per_token = shape.layers * saved + workspace
        why = f"{rows} x ({shape.layers} layers x {saved:,} B + {workspace:,} B)"
    head = tokens * shape.hidden * 4 + _TILE * (2 if setting.bf16 else 4)
    if not setting.lora:
        head += 4 * shape.head_parameters
    logits = tokens * shape.vocab * 4 / GIB
    kept = "activations" if setting.checkpointing else "activations, all kept"
    tiles = f"in tiles, with its gradient; all logits at once: {logits:,.1f} GiB"
    return [Part(kept, tokens * per_token, why, "train"), Part("head", head, tiles, "train")]


def _generation(setting: Setting) -> list[Part]:
    shape = setting.shape
    if setting.engine == "colocate":
        reserved = setting.vllm_share * setting.device.memory_gib * GIB
        tokens = kv_capacity(setting)
        why = (
            f"{setting.vllm_share:g} of the GPU: weights, and keys and values of {tokens:,.0f} tokens "
            f"({tokens / setting.width:,.0f} rows of full length)"
        )
        return [Part("vLLM", reserved, why, "generate" if setting.vllm_sleeps else "always")]
    if setting.engine != "transformers":
        return []
    rows = setting.rollout_rows
    cache = rows * setting.width * shape.kv_values_per_token * setting.weight_bytes
    why = (
        f"transformers: {rows} rows x {setting.width:,} tokens x {shape.kv_values_per_token:,} x "
        f"{setting.weight_bytes} B"
    )
    parts = [
        Part("keys and values", cache, why, "generate"),
        Part("logits", 8 * rows * shape.vocab, f"{rows} rows x {shape.vocab:,} x 8 B", "generate"),
    ]
    if setting.sharding == "zero3":
        parts.append(Part("gathered weights", 2 * shape.num_parameters, "ds3_gather_for_generation", "generate"))
    return parts


def _count(number: float) -> str:
    return f"{number / 1e9:.2f} G" if number >= 1e9 else f"{number / 1e6:.2f} M"
