"""A cache with room holds what transformers' holds, token after token."""

from __future__ import annotations

import torch
from transformers.cache_utils import DynamicLayer

from oger.training.rollouts.growing_cache import GrowingLayer


def _tokens(rows: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(rows, 2, tokens, 4), torch.randn(rows, 2, tokens, 4)


def test_it_holds_what_a_dynamic_layer_holds_while_it_grows_and_loses_rows() -> None:
    torch.manual_seed(0)
    prefilled, stock = DynamicLayer(), DynamicLayer()
    rows = torch.tensor([0, 0, 2, 1, 2])
    prompts = _tokens(3, 7)
    prefilled.update(*prompts)
    stock.update(prompts[0][rows], prompts[1][rows])
    growing = GrowingLayer(prefilled, rows)
    for kept in ([0, 1, 2, 3, 4], [4, 1, 3], [1], [0]):
        for layer in (growing, stock):
            layer.batch_select_indices(torch.tensor(kept))
        for num_new in (1,) * 25 + (3, 40):
            new = _tokens(len(kept), num_new)
            for ours, theirs in zip(growing.update(*new), stock.update(*new), strict=True):
                assert torch.equal(ours, theirs)
        assert growing.get_seq_length() == stock.get_seq_length()
        assert growing.get_mask_sizes(1) == stock.get_mask_sizes(1)


def test_a_new_token_is_written_in_place() -> None:
    layer = DynamicLayer()
    layer.update(*_tokens(2, 64))
    growing = GrowingLayer(layer, torch.arange(2))
    places = [growing.update(*_tokens(2, 1))[0].data_ptr() for _ in range(100)]
    assert len(set(places)) < 10
