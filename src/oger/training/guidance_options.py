"""Options of guided rollouts, which begin with the first part of a teacher trajectory."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oger.method.guidance import LENGTHS
from oger.words import one_of


@dataclass
class GuidanceOptions:
    """What `OGERConfig` knows of guided rollouts."""

    if TYPE_CHECKING:  # of the whole configuration
        num_generations: int

    guided_prompts: str = field(
        default="never",
        metadata={
            "help": "Prompts whose rollouts begin as a teacher's do: never | always | where_all_failed (at the last "
            "visit, remembered per prompt)."
        },
    )
    guided_share: float = field(default=1.0, metadata={"help": "Share of the visits of these prompts that is guided."})
    guided_rows: int | None = field(
        default=None, metadata={"help": "Guided rollouts of a guided group, 1..G; None = all of them."}
    )
    guided_length: str = field(
        default="uniform",
        metadata={
            "help": "How much of the trajectory is given: uniform | long_to_short (over the run) | long_to_any (drawn "
            "between that and the longest) | shortest_that_helps (longer after a failed visit, shorter after a solved)."
        },
    )
    guided_shortest: float = field(default=0.1, metadata={"help": "Least share of a trajectory that is given."})
    guided_longest: float = field(default=0.9, metadata={"help": "Greatest share of a trajectory that is given."})
    guided_cut: str = field(
        default="steps",
        metadata={"help": "Where it is cut: steps (behind a line, else a sentence, else a word) | tokens."},
    )
    guided_baseline: str = field(
        default="own",
        metadata={"help": "Mean that the guided rows of a group are compared with: own | joint (of the whole group)."},
    )
    guided_loss: str = field(
        default="none",
        metadata={"help": "Loss on the given tokens: none | shaped (-A f(p), as on a teacher row)."},
    )

    @property
    def guides(self) -> bool:
        """Whether any rollout may be guided."""
        return self.guided_prompts != "never"

    def check_guidance(self) -> None:
        """Raises ValueError on an unknown word, a value out of range, or an option without effect."""
        for name, words in (
            ("guided_prompts", ("never", "always", "where_all_failed")),
            ("guided_length", LENGTHS),
            ("guided_cut", ("steps", "tokens")),
            ("guided_baseline", ("own", "joint")),
            ("guided_loss", ("none", "shaped")),
        ):
            one_of(words, getattr(self, name), name)
        size = self.num_generations
        for name, holds, requirement in (
            ("guided_share", 0 < self.guided_share <= 1, "above 0 and at most 1"),
            ("guided_rows", 1 <= (size if self.guided_rows is None else self.guided_rows) <= size, f"in 1..{size}"),
            ("guided_shortest", 0 < self.guided_shortest <= self.guided_longest, "above 0 and at most guided_longest"),
            ("guided_longest", self.guided_longest < 1, "below 1"),
        ):
            if not holds:
                raise ValueError(f"{name}={getattr(self, name)!r} must be {requirement}.")
        if not self.guides:
            for option in dataclasses.fields(GuidanceOptions):
                if getattr(self, option.name) != option.default:
                    raise ValueError(f"{option.name} has no effect without guided_prompts: set it (say always).")
        elif self.guided_rows in (None, size) and self.guided_baseline == "joint":
            raise ValueError("guided_baseline=joint has no effect where all rows of a group are guided: leave it out.")
