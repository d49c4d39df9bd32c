"""Options of the imitation stream: the loss on teacher trajectories that stand beside the rollout groups."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oger.method.imitation import ROW_WEIGHTS, TOKEN_WEIGHTS
from oger.method.schedule import SCHEDULES
from oger.words import choose, one_of

BLENDS = ("add", "mix")
_ASKS_FOR_NO_ROLLOUTS = {
    "teacher_rows": 0, "exploration_weight": 0, "imitation_max_success": 1.0, "imitation_instead": False,
    "entropy_coef": 0, "beta": 0, "rollouts": "generate", "positive_weight": 1.0, "positive_row_weight": "one",
    "guided_prompts": "never",
}  # fmt: skip


@dataclass
class ImitationOptions:
    """What `OGERConfig` knows of L = a L_policy + b L_imitation."""

    if TYPE_CHECKING:  # of the whole configuration
        num_generations: int
        shaping_rewards: dict[str, float]

    policy_weight: float = field(
        default=1.0,
        metadata={"help": "a in L = a L_policy + b L_imitation; 0 = supervised fine-tuning, nothing is generated."},
    )
    imitation_weight: float = field(
        default=0.0, metadata={"help": "b; 0 = no trajectory is imitated beside the rollout groups."}
    )
    imitation_blend: str = field(
        default="add",
        metadata={"help": "add: a and b as they are | mix: a is 1 - b at every step."},
    )
    imitation_schedule: str = field(
        default="constant", metadata={"help": "Course of b over the run: constant | linear | cosine."}
    )
    imitation_schedule_end: float | None = field(
        default=None, metadata={"help": "Part of b that is left at the end of a schedule; None = 0."}
    )
    imitation_rows: int | None = field(
        default=1,
        metadata={"help": "Trajectories imitated per group, drawn without replacement; None = all, at most G."},
    )
    imitation_max_success: float = field(
        default=1.0,
        metadata={"help": "Imitate on prompts whose share of correct rollouts is at most this: 1 = all, 0 = unsolved."},
    )
    imitation_instead: bool = field(
        default=False, metadata={"help": "An imitated prompt gives no policy gradient (HPT): imitate or explore."}
    )
    imitation_token_weight: str = field(
        default="one", metadata={"help": "φ of a teacher token's probability p: one | p_one_minus_p (CHORD)."}
    )
    imitation_row_weight: str = field(
        default="one", metadata={"help": "w of a trajectory: one | exp_minus_entropy (SRFT)."}
    )

    @property
    def imitates(self) -> bool:
        """Whether any trajectory is imitated."""
        return self.imitation_weight != 0

    @property
    def generates(self) -> bool:
        """Whether the run samples rollouts."""
        return self.policy_weight != 0

    def check_imitation(self) -> None:
        """Raises ValueError on an unknown word, a value out of range, or an option without effect."""
        one_of(BLENDS, self.imitation_blend, "imitation_blend")
        choose(SCHEDULES, self.imitation_schedule, "imitation_schedule")
        choose(TOKEN_WEIGHTS, self.imitation_token_weight, "imitation_token_weight")
        choose(ROW_WEIGHTS, self.imitation_row_weight, "imitation_row_weight")
        if self.imitation_rows is not None and not 1 <= self.imitation_rows <= self.num_generations:
            raise ValueError(f"imitation_rows={self.imitation_rows!r} must be in 1..{self.num_generations}.")
        if not self.imitates:
            if not self.generates:
                raise ValueError("policy_weight=0 leaves nothing to train on: set imitation_weight (say 1).")
            for option in dataclasses.fields(ImitationOptions):
                if option.name.startswith("imitation_") and getattr(self, option.name) != option.default:
                    raise ValueError(f"{option.name} has no effect without imitation_weight: set it (say 1).")
        if self.imitation_schedule == "constant" and self.imitation_schedule_end is not None:
            raise ValueError("imitation_schedule_end belongs to a schedule: set imitation_schedule=linear or cosine.")
        if self.imitation_blend == "mix" and (self.policy_weight != 1 or self.imitation_weight > 1):
            raise ValueError("imitation_blend=mix sets the policy's weight to 1 - b: leave policy_weight=1 and b <= 1.")
        if not self.generates:
            self._check_supervised()

    def _check_supervised(self) -> None:
        """Nothing is generated, so nothing may ask for rollouts."""
        for name, unused in _ASKS_FOR_NO_ROLLOUTS.items():
            if getattr(self, name) != unused:
                raise ValueError(f"{name}={getattr(self, name)!r} needs rollouts, and policy_weight=0 makes none: "
                                 f"set {name}={unused}.")  # fmt: skip
        if self.shaping_rewards:
            raise ValueError("shaping_rewards need rollouts, and policy_weight=0 makes none: leave them out.")
