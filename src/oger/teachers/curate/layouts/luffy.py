"""LUFFY's Parquet (Elliott/Openr1-Math-46k-8192 on the hub): verl's columns and one teacher's answer as `target`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oger.teachers.curate.layouts.layout import Layout, listed, mapping
from oger.teachers.curate.records import BadRowError, Draft, Entry


class LuffyLayout(Layout):
    """prompt (chat), target (one message of the assistant), reward_model {style, ground_truth}; maybe target_lst.

    `target_lst` holds further answers, as messages or as lists of one message; those that repeat `target` are not read
    twice. A `ground_truth` that is a list of one is that one.
    """

    required = ("prompt", "target", "reward_model")
    optional = ("target_lst",)

    def parse(self, row: Mapping[str, Any]) -> Entry:
        gold = mapping(row["reward_model"], "reward_model").get("ground_truth")
        if isinstance(gold, list) and len(gold) == 1:
            gold = gold[0]
        texts = [_content(message) for message in listed(row["target"], "target")]
        for target in listed(row["target_lst"], "target_lst"):
            for message in target if isinstance(target, list) else [target]:
                text = _content(message)
                if text not in texts:
                    texts.append(text)
        return Entry(row["prompt"], gold, drafts=tuple(Draft(text) for text in texts))


def _content(message: Any) -> Any:
    if isinstance(message, Mapping):
        if message.get("role") not in (None, "assistant"):
            raise BadRowError(f"target has a message of the role {message.get('role')!r}, not assistant")
        return message.get("content")
    return message
