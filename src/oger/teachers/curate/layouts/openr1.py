"""OpenR1-Math-220k (open-r1/OpenR1-Math-220k on the hub): several generations of one teacher per problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oger.teachers.curate.layouts.layout import Layout, flag, listed
from oger.teachers.curate.records import Draft, Entry


class OpenR1Layout(Layout):
    """problem, answer, generations[], and for each generation whether it is complete and was judged correct.

    A generation is truncated if `is_reasoning_complete` is false or its finish reason is "length". The claim is
    math-verify's, or the judging model's where math-verify's is null. The human `solution` is no trajectory.
    """

    required = ("problem", "answer", "generations")
    optional = ("is_reasoning_complete", "correctness_math_verify", "correctness_llama", "finish_reasons")

    def parse(self, row: Mapping[str, Any]) -> Entry:
        complete = listed(row["is_reasoning_complete"], "is_reasoning_complete")
        by_library = listed(row["correctness_math_verify"], "correctness_math_verify")
        by_model = listed(row["correctness_llama"], "correctness_llama")
        reasons = listed(row["finish_reasons"], "finish_reasons")
        drafts = []
        for position, text in enumerate(listed(row["generations"], "generations")):
            judged = flag(by_library, position)
            cut = position < len(reasons) and reasons[position] == "length"
            drafts.append(
                Draft(
                    text,
                    truncated=cut or flag(complete, position) is False,
                    claim=flag(by_model, position) if judged is None else judged,
                )
            )
        return Entry(row["problem"], row["answer"], drafts=tuple(drafts))
