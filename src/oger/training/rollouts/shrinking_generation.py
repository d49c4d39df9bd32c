"""Decoding in which a finished sequence leaves the batch, instead of being computed to the end of the longest one.

`generate` of transformers prepares everything as ever and then runs the loop below in place of its own sampling loop.
Three things differ, and none changes what a token is drawn from: rows that are finished leave the batch, the rows of
one prompt are prefilled once, and the key-value cache has room to grow. Where a model, a cache or an option does not
allow that, the loop of transformers runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList, StoppingCriteriaList
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer
from transformers.generation import logits_process, stopping_criteria
from transformers.generation.configuration_utils import GenerationMode
from transformers.generation.utils import GENERATION_MODES_MAPPING
from transformers.integrations import is_deepspeed_zero3_enabled, is_fsdp_managed_module

from oger.faults import BrokenPolicyError
from oger.training.rollouts.entropy import EntropyRecorder
from oger.training.rollouts.growing_cache import GrowingLayer

MIN_FINISHED = 1 / 8
"""Share of the rows in the batch that must be finished before they leave it, since leaving copies the others' cache."""

_MODES = {GenerationMode.SAMPLE, GenerationMode.GREEDY_SEARCH}
_LAYERS = {DynamicLayer, DynamicSlidingWindowLayer}
_ROW_BY_ROW = {
    logits_process.EpsilonLogitsWarper,
    logits_process.EtaLogitsWarper,
    logits_process.ExponentialDecayLengthPenalty,
    logits_process.ForcedEOSTokenLogitsProcessor,
    logits_process.InfNanRemoveLogitsProcessor,
    logits_process.LogitNormalization,
    logits_process.MinLengthLogitsProcessor,
    logits_process.MinNewTokensLengthLogitsProcessor,
    logits_process.MinPLogitsWarper,
    logits_process.NoBadWordsLogitsProcessor,
    logits_process.NoRepeatNGramLogitsProcessor,
    logits_process.SuppressTokensAtBeginLogitsProcessor,
    logits_process.SuppressTokensLogitsProcessor,
    logits_process.TemperatureLogitsWarper,
    logits_process.TopHLogitsWarper,
    logits_process.TopKLogitsWarper,
    logits_process.TopPLogitsWarper,
    logits_process.TypicalLogitsWarper,
    stopping_criteria.EosTokenCriteria,
    stopping_criteria.MaxLengthCriteria,
    stopping_criteria.MaxTimeCriteria,
    stopping_criteria.StopStringCriteria,
}
_INPUTS_BY_ROW = ("attention_mask", "position_ids")
_INPUTS = {*_INPUTS_BY_ROW, "past_key_values", "logits_to_keep", "use_cache"}

Draw = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Token of each row, from probabilities (R, V), the rows' indices in the batch (R,) and the size N of the batch."""


@contextmanager
def shrinking_generation(
    model: Any, recorder: EntropyRecorder | None = None, *, stock_draws: bool = False
) -> Iterator[None]:
    """While it lasts, `model.generate` drops finished rows.

    Greedy decoding gives the tokens of stock `generate`. Sampling draws from the same distributions, by other random
    numbers unless `stock_draws` is set. Under dropout, the rows of one prompt share the noise of its prefill.

    Args:
        model: a transformers model, or a PEFT model around one, as `accelerator.unwrap_model` gives it.
        recorder: gets the entropies of one `generate` call.
        stock_draws: take the random numbers that stock `generate` would take, so that the same seed gives the same
            tokens: a number for every row and every token of the vocabulary, of finished rows too.
    """
    stock = model.generate
    own = vars(model).get("generate")  # set by models that bring a `generate` of their own
    draw = draw_as_stock if stock_draws else draw_by_cumulative
    decode = functools.partial(_decode, recorder=recorder, draw=draw)
    model.generate = functools.partial(stock, custom_generate=decode)
    try:
        yield
    finally:
        if own is None:
            del model.generate
        else:
            model.generate = own


def draw_as_stock(probs_RV: torch.Tensor, rows_R: torch.Tensor, num_rows: int) -> torch.Tensor:
    """The tokens that `torch.multinomial` draws in a batch of which the rows `rows_R` are left."""
    noise_NV = probs_RV.new_empty(num_rows, probs_RV.shape[1]).exponential_(1)
    return (probs_RV / noise_NV[rows_R]).argmax(dim=-1)


def draw_by_cumulative(probs_RV: torch.Tensor, rows_R: torch.Tensor, num_rows: int) -> torch.Tensor:
    """One uniform number per row, looked up in cumulative probabilities; float64, so that no tail is rounded off."""
    cumulative_RV = probs_RV.cumsum(dim=-1, dtype=torch.float64)
    uniform_R1 = torch.rand(len(probs_RV), 1, dtype=torch.float64, device=probs_RV.device)
    return torch.searchsorted(cumulative_RV, uniform_R1 * cumulative_RV[:, -1:], right=True).squeeze(1)


def _decode(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    *,
    recorder: EntropyRecorder | None,
    draw: Draw,
    **model_kwargs: Any,
) -> Any:
    """The decoding method that `generate` calls; arguments as of `GenerationMixin._sample`."""
    # `generate` leaves this out when it calls a decoding method that is not its own.
    synced_gpus = (
        (is_deepspeed_zero3_enabled() or is_fsdp_managed_module(model))
        and dist.is_initialized()
        and dist.get_world_size() > 1
    )
    if _rows_can_leave(model, input_ids, logits_processor, stopping_criteria, generation_config, model_kwargs):
        loop = functools.partial(_shrinking_loop, recorder=recorder, draw=draw)
    else:
        loop = getattr(type(model), GENERATION_MODES_MAPPING[generation_config.get_generation_mode()])
        if recorder is not None:
            logits_processor = LogitsProcessorList([recorder, *logits_processor])
    return loop(
        model,
        input_ids,
        logits_processor=logits_processor,
        stopping_criteria=stopping_criteria,
        generation_config=generation_config,
        synced_gpus=synced_gpus,
        **model_kwargs,
    )


def _rows_can_leave(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    model_kwargs: dict[str, Any],
) -> bool:
    cache = model_kwargs.get("past_key_values")
    return (
        generation_config.get_generation_mode() in _MODES
        and not generation_config.return_dict_in_generate
        and not model.config.is_encoder_decoder
        and model.config.get_text_config() is model.config  # models of images and sound keep more per row
        and "prepare_inputs_for_generation" not in vars(model)  # PEFT's prompt learning
        and {key for key, value in model_kwargs.items() if value is not None} <= _INPUTS
        and all(value.shape == input_ids.shape for value in _by_row(model_kwargs).values())
        and type(cache) is DynamicCache
        and not cache.offloading
        and not getattr(cache, "_is_user_defined", False)
        and {type(layer) for layer in cache.layers} <= _LAYERS
        and all(map(_row_by_row, [*logits_processor, *stopping_criteria]))
        and any(hasattr(criterion, "eos_token_id") for criterion in stopping_criteria)
    )


def _row_by_row(part: Any) -> bool:
    """Whether a processor or criterion reads each row by itself and keeps nothing of it from one step to the next.

    One that is not of transformers says so by an attribute `row_by_row`.
    """
    return type(part) in _ROW_BY_ROW or getattr(part, "row_by_row", False)


def _shrinking_loop(
    model: Any,
    input_ids: Any,
    *,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    synced_gpus: bool,
    recorder: EntropyRecorder | None,
    draw: Draw,
    **model_kwargs: Any,
) -> torch.Tensor:
    """`GenerationMixin._sample` with a batch that shrinks; returns prompts and responses, padded on the right."""
    num_rows, device = len(input_ids), input_ids.device
    pad_token_id = generation_config._pad_token_tensor
    assert pad_token_id is not None, "generate pads with the end token where there is no other"
    left: list[tuple[torch.Tensor, torch.Tensor]] = []  # rows and tokens of those that left the batch
    rows = torch.arange(num_rows, device=device)
    unfinished = torch.ones(num_rows, dtype=torch.bool, device=device)
    finished = False
    outputs = _prefill_prompts_once(model, input_ids, generation_config, model_kwargs)
    with model._optimize_model_for_decode():
        while model._has_unfinished_sequences(finished, synced_gpus, device=device):
            if outputs is None:
                inputs = model.prepare_inputs_for_generation(input_ids, next_sequence_length=1, **model_kwargs)
                outputs = model(**inputs, return_dict=True)
            model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
            logits = outputs.logits[:, -1].to(device)
            outputs = None
            if synced_gpus and finished:
                continue  # only the other ranks still need this one's part of the forward
            if recorder is not None:
                recorder.record(logits, rows)
            scores = logits_processor(input_ids, logits.to(dtype=torch.float32, copy=True))
            if generation_config.do_sample:
                probs = torch.softmax(scores, dim=-1)
                tokens, broken = draw(probs, rows, num_rows), probs[:, 0].isnan()  # softmax spreads a NaN over its row
            else:
                tokens, broken = scores.argmax(dim=-1), torch.zeros_like(unfinished)
            input_ids = torch.cat([input_ids, torch.where(unfinished, tokens, pad_token_id)[:, None]], dim=-1)
            unfinished = unfinished & ~stopping_criteria(input_ids, None)
            num_unfinished, num_broken = torch.stack([unfinished.sum(), broken.sum()]).tolist()  # one wait for a device
            if num_broken:
                raise BrokenPolicyError(f" in {num_broken} rollouts")
            finished = num_unfinished == 0
            if not finished and num_unfinished <= (1 - MIN_FINISHED) * len(rows):
                left.append((rows[~unfinished], input_ids[~unfinished]))
                kept = unfinished.nonzero().squeeze(1)
                rows, input_ids, unfinished = rows[kept], input_ids[kept], unfinished[kept]
                model_kwargs["past_key_values"].batch_select_indices(kept)
                model_kwargs = _of_rows(model_kwargs, kept)
    sequences = input_ids.new_empty(num_rows, input_ids.shape[1])
    sequences[:] = pad_token_id
    for some_rows, ids in [*left, (rows, input_ids)]:
        sequences[some_rows, : ids.shape[1]] = ids
    return sequences


def _prefill_prompts_once(
    model: Any, input_ids: torch.Tensor, generation_config: GenerationConfig, model_kwargs: dict[str, Any]
) -> Any:
    """Output of the prefill for every row, computed once per distinct prompt; the cache becomes one that grows."""
    keys = torch.cat([input_ids, *_by_row(model_kwargs).values()], dim=1)
    _, prompt_of_row = torch.unique(keys, dim=0, return_inverse=True)
    rows = torch.arange(len(keys), device=keys.device)
    row_of_prompt = rows.new_empty(int(prompt_of_row.max()) + 1)
    row_of_prompt[prompt_of_row] = rows
    outputs = model._prefill(input_ids[row_of_prompt], generation_config, _of_rows(model_kwargs, row_of_prompt))
    cache = outputs.past_key_values
    for index, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            cache.layers[index] = GrowingLayer(layer, prompt_of_row)
        else:
            layer.batch_select_indices(prompt_of_row)
    outputs.logits = outputs.logits[prompt_of_row]
    return outputs


def _by_row(model_kwargs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The model's inputs that hold one entry per row."""
    return {key: model_kwargs[key] for key in _INPUTS_BY_ROW if model_kwargs.get(key) is not None}


def _of_rows(model_kwargs: dict[str, Any], rows: torch.Tensor) -> dict[str, Any]:
    """All inputs of the model, for some rows."""
    return model_kwargs | {key: value[rows] for key, value in _by_row(model_kwargs).items()}
