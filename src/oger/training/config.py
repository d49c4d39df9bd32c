"""`OGERConfig`: TRL's `GRPOConfig` plus the options of the hybrid group, the exploration reward and the objective.

Options are words; an unknown word is an error that names the nearest valid one. A field that a preset sets defaults to
None, which means the preset's value; an explicit value always wins. After construction every field is resolved.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from transformers.utils import is_torch_bf16_gpu_available, is_torch_xla_available
from trl import GRPOConfig

from oger.encoders.registry import check_spec
from oger.method.advantage import POSITIVE_WEIGHTS
from oger.method.confidence import REDUCTIONS
from oger.method.divergence import AGGREGATIONS, SCALES
from oger.method.hybrid_group import CHOICES, STRATEGIES
from oger.method.objective import SHAPINGS
from oger.method.schedule import SCHEDULES
from oger.method.undecided import UNDECIDED
from oger.training.guidance_options import GuidanceOptions
from oger.training.imitation_options import ImitationOptions
from oger.training.option_values import REPLAY, check_rollouts, parse_clip, parse_mapping, parse_shaping
from oger.training.presets import PRESETS, REFUSED_WITH_TEACHER_ROWS, TRL_DEFAULTS
from oger.training.ranges import check_ranges
from oger.training.sampling_options import check_options
from oger.words import choose, did_you_mean, one_of

_WITH_TEACHER_ROWS = {"teacher_choice": "uniform", "teacher_advantage_min": None, "failed_groups": "push_down"}
"""Options that only teacher rows give an effect, with the value that asks for none."""


if TYPE_CHECKING:  # what these options are once constructed
    _Clip = Any
    _Mapping = dict[str, Any]
    _Weights = dict[str, float]
else:  # what a command-line parser may make of its text
    _Clip = str | None
    _Mapping = _Weights = dict | str | None


class _KnownOptions:
    """Refuses an unknown option by the nearest valid one, before the constructor of the dataclass sees it."""

    def __new__(cls, *args: Any, **options: Any) -> Self:
        known = {f.name for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
        for name in options:
            if name not in known:
                raise TypeError(f"{cls.__name__} has no option {name!r}{did_you_mean(name, known)}")
        return super().__new__(cls)


@dataclass
class OGERConfig(_KnownOptions, GuidanceOptions, ImitationOptions, GRPOConfig):
    """Configuration of `OGERTrainer`; everything of `trl.GRPOConfig`, and the fields below.

    Raises:
        ValueError: on an unknown word, a value out of range, or options that contradict each other.
    """

    if TYPE_CHECKING:  # never None once constructed, whatever TRL's annotations say
        output_dir: str = ""
        num_generations: int = 8
        max_completion_length: int = 512
        steps_per_generation: int = 1
        generation_batch_size: int = 1
        gradient_checkpointing_kwargs: dict[str, Any] | None = None
        chat_template_kwargs: dict[str, Any] | None = None

    preset: str = field(
        default="luffy_code",
        metadata={"help": "Named set of options: luffy_code | paper_text | none (TRL's defaults)."},
    )
    exploration_weight: float = field(
        default=1.0, metadata={"help": "λ in R_total = R_m + λ R_OGER; 0 turns the exploration reward off."}
    )
    exploration_schedule: str = field(
        default="constant",
        metadata={"help": "Course of all shaping weights over the run: constant | linear | cosine."},
    )
    exploration_schedule_end: float | None = field(
        default=None, metadata={"help": "Part of the shaping weights that is left at the end of a schedule; None = 0."}
    )
    shaping_rewards: _Weights = field(
        default=None,  # type: ignore[arg-type]
        metadata={"help": "Further shaping rewards and their weights: {NAME or file.py:function: weight}."},
    )
    divergence_aggregation: str = field(
        default="mean", metadata={"help": "How the cosines to a prompt's teachers become one: mean | max | min."}
    )
    divergence_scale: str = field(
        default="one_minus_cosine",
        metadata={
            "help": "From similarity to divergence: one_minus_cosine | half | group_minmax | group_z | whitened."
        },
    )
    entropy_reduction: str = field(
        default="last_token",
        metadata={"help": "From token entropies to H: last_token | mean | last_k | answer_span | none (confidence 1)."},
    )
    entropy_last_k: int = field(default=16, metadata={"help": "k of entropy_reduction=last_k."})
    entropy_scale: float = field(default=1.0, metadata={"help": "s in c = exp(-s H), H in nats."})
    correctness_gate: bool = field(default=True, metadata={"help": "Pay the exploration reward to correct rows only."})
    undecided: str = field(
        default="drop",
        metadata={"help": "A row whose outcome is None: drop (no reward, no loss) | zero (as if it were wrong)."},
    )
    replacement: str = field(
        default="argmin_divergence",
        metadata={
            "help": "Which online row a teacher replaces: argmin_divergence | argmin_wrong_first | random | fixed_slot "
            "| all_failed."
        },
    )
    teacher_rows: int = field(  # type: ignore[assignment]
        default=None,
        metadata={"help": "Teacher rows per group, 0..G-1; None = 1 where the prompts have teachers."},
    )
    teacher_choice: str = field(
        default="uniform",
        metadata={"help": "How a teacher is drawn: uniform | round_robin | shortest | most_comprehensible."},
    )
    teacher_advantage_min: float | None = field(
        default=None, metadata={"help": "Floor of a teacher row's advantage; None = faithful to the paper, 0 = clamp."}
    )
    failed_groups: str = field(
        default="push_down",
        metadata={
            "help": "Online rows of a group without a correct one, below its teacher row: push_down (faithful) | spare."
        },
    )
    positive_weight: float = field(
        default=1.0, metadata={"help": "Factor on the advantages of correct rollouts, teacher rows not among them."}
    )
    positive_row_weight: str = field(
        default="one", metadata={"help": "w of a correct rollout beside it: one | exp_entropy (SRFT)."}
    )
    shaping: str = field(
        default="p_over_p_plus_gamma",
        metadata={"help": "f of a teacher token's probability: p_over_p_plus_gamma | p | sqrt_p."},
    )
    shaping_gamma: float = field(default=0.1, metadata={"help": "γ in f(p) = p / (p + γ)."})
    clip: _Clip = field(
        default=None,
        metadata={"help": "Clip of the online ratio: none | 0.2 | [0.2, 0.28]; None = the preset's value."},
    )
    encoder: str = field(
        default="ngram",
        metadata={
            "help": "Frozen encoder of trajectories: ngram | ngram:word | sentence-transformers:MODEL | static:MODEL | "
            "policy-init (the initial policy itself) | package.module:function."
        },
    )
    encoder_part: str = field(
        default="full", metadata={"help": "What of each text is encoded: full | reasoning | final | equations."}
    )
    encoder_options: _Mapping = field(
        default=None,  # type: ignore[arg-type]
        metadata={"help": "Options of the encoder, such as {device: cuda, dtype: bfloat16}; see docs/encoders.md."},
    )
    encoder_cache: str | None = field(
        default=None,
        metadata={"help": "Folder that keeps the teachers' vectors, or none; None = a run's own, except for ngram."},
    )
    lean_generation: bool = field(
        default=True,
        metadata={
            "help": "transformers generates without finished rollouts, each prompt prefilled once, and entropies are "
            "taken while tokens are drawn, not by a forward of their own. Other random numbers than TRL's."
        },
    )
    rollouts: str = field(
        default="generate",
        metadata={
            "help": "generate | record (and keep every rollout batch in RUN/batches) | replay:PATH (train on those of "
            "a run, or of a file; nothing is generated)."
        },
    )
    length_chunks: int = field(
        default=4,
        metadata={
            "help": "Forwards per micro-batch, rows of similar length together and without padding; 1 = one, TRL's own."
        },
    )
    skip_idle_rows: bool = field(
        default=True,
        metadata={
            "help": "Rollouts of advantage 0 take no part in the forward with gradient, where the loss has no other "
            "term than theirs and their entropies are known from sampling; the gradient is the same."
        },
    )
    outcome_reward: str | None = field(
        default=None,
        metadata={"help": "Name of the reward function that is the outcome R_m; None = the first one."},
    )
    rollouts_every: int = field(
        default=0, metadata={"help": "Write the rollouts of every N-th optimiser step as Parquet; 0 = never."}
    )
    record_dir: str | None = field(
        default=None, metadata={"help": "Folder that gets the folder rollouts/; None = output_dir."}
    )

    # Set by the preset when None.
    scale_rewards: str = field(default=None, metadata={"help": "none | group | batch; None = the preset's."})  # type: ignore[assignment]
    loss_type: str = field(default=None, metadata={"help": "Aggregation of the loss; None = the preset's."})  # type: ignore[assignment]
    entropy_coef: float = field(default=None, metadata={"help": "Entropy bonus; None = the preset's."})  # type: ignore[assignment]
    epsilon: float | None = field(  # type: ignore[assignment]
        default=None, metadata={"help": "TRL's name of the lower clip; see `clip`."}
    )

    def __post_init__(self) -> None:
        self.teacher_rows_requested = self.teacher_rows is not None
        if self.teacher_rows is None:
            self.teacher_rows = 1
        preset = choose(PRESETS, self.preset, "preset")
        for name, value in preset.items():
            if name != "clip" and getattr(self, name) is None:
                setattr(self, name, value)
        check_ranges(self)
        self._resolve_clip(preset["clip"])
        self._check_words()
        if not (self.use_cpu or is_torch_bf16_gpu_available() or is_torch_xla_available()):
            if self.bf16:
                raise ValueError(
                    "bf16=true needs a GPU with bfloat16, and none is here: set bf16=false or leave it out"
                )
            self.bf16 = False
        super().__post_init__()
        self.dataloader_pin_memory = self.dataloader_pin_memory and torch.cuda.is_available()  # else torch warns
        self._check_ranges()
        if self.teacher_rows > 0:
            for name in self._trl_only():
                allowed, reason = REFUSED_WITH_TEACHER_ROWS[name]
                raise ValueError(
                    f"{name}={getattr(self, name)!r} cannot be combined with teacher rows: {reason}. "
                    f"Use one of {list(allowed)}, or set teacher_rows=0."
                )

    def _trl_only(self) -> list[str]:
        """Options set to values that only TRL's own objective knows."""
        return [name for name, (ok, _) in REFUSED_WITH_TEACHER_ROWS.items() if getattr(self, name) not in ok]

    @property
    def clip_range(self) -> tuple[float, float] | None:
        """(ε_low, ε_high) of the online ratio, or None where it is not clipped."""
        if self.clip == "none":
            return None
        low, high = self.clip if isinstance(self.clip, list) else (self.clip, self.clip)
        return low, high

    @property
    def shapes(self) -> bool:
        """Whether any shaping reward has a weight."""
        return self.exploration_weight != 0 or bool(self.shaping_rewards)

    @property
    def needs_own_objective(self) -> bool:
        """Whether the mixed objective is used; otherwise TRL's own loss is, with every option that it has."""
        return not self._trl_only()

    @property
    def requires_teachers(self) -> bool:
        """Whether a run without a usable trajectory is an error; one that leaves it open takes those that there are."""
        asks_for_rows = self.teacher_rows_requested and self.teacher_rows > 0
        return self.exploration_weight != 0 or self.imitates or self.guides or asks_for_rows

    @property
    def corrects_for_engine(self) -> bool:
        """Whether the mismatch between the engine's probabilities and the policy's is corrected."""
        return self.use_vllm and self.vllm_importance_sampling_correction

    @property
    def needs_old_logps(self) -> bool:
        """Whether log-probs are taken at rollout time: the ratio is not 1 at every step, or an engine sampled."""
        every = self.steps_per_generation * self.num_iterations
        return self.gradient_accumulation_steps % every != 0 or self.corrects_for_engine

    @property
    def needs_entropies(self) -> bool:
        """Whether a reward or a weight reads the policy's entropies."""
        pays_by_entropy = self.exploration_weight != 0 and REDUCTIONS[self.entropy_reduction].needs_entropy
        return bool(self.shaping_rewards) or pays_by_entropy or self.positive_row_weight != "one"

    @property
    def pays_for_entropies(self) -> bool:
        """Whether rollouts are made whose entropies count: tokens must then be drawn from what is recorded."""
        return self.needs_own_objective and self.generates and self.needs_entropies

    @property
    def generates_lean(self) -> bool:
        """Whether transformers generates without finished rollouts and leaves the entropies of what it drew."""
        elsewhere = self.use_vllm or self.use_transformers_continuous_batching or self.replayed is not None
        return self.lean_generation and self.generates and self.needs_own_objective and not elsewhere

    @property
    def needs_forward(self) -> bool:
        """Whether the policy runs once over the whole rollout batch without gradient."""
        recorded = self.generates_lean and not self.shaping_rewards  # entropies, taken while tokens were drawn
        return self.generates and (self.needs_old_logps or (self.needs_entropies and not recorded))

    @property
    def replayed(self) -> Path | None:
        """PATH of rollouts=replay:PATH."""
        return Path(self.rollouts.removeprefix(REPLAY)).expanduser() if self.rollouts.startswith(REPLAY) else None

    def resolved_options(self) -> dict[str, Any]:
        """Every option that is OGER's own or set by a preset, as the run uses it; for the saved recipe."""
        own = {f.name for f in dataclasses.fields(self)} - set(TRL_DEFAULTS) - {"record_dir", "rollouts_every"}
        return {name: getattr(self, name) for name in sorted(own | set(PRESETS[self.preset]))}

    def _resolve_clip(self, preset_clip: Any) -> None:
        from_trl = self.epsilon is not None or self.epsilon_high is not None
        clip = self.clip
        if clip is None and from_trl:
            low = self.epsilon if self.epsilon is not None else TRL_DEFAULTS["epsilon"]
            clip = [low, self.epsilon_high if self.epsilon_high is not None else low]
        elif clip is None:
            clip = preset_clip
        self.clip = parse_clip(clip)
        low_high = self.clip_range
        if self.epsilon is not None and (low_high is None or low_high[0] != self.epsilon):
            raise ValueError(f"clip={self.clip!r} contradicts epsilon={self.epsilon!r}: set one of them.")
        if self.epsilon_high is not None and (low_high is None or low_high[1] != self.epsilon_high):
            raise ValueError(f"clip={self.clip!r} contradicts epsilon_high={self.epsilon_high!r}: set one of them.")
        if low_high is not None:
            self.epsilon, self.epsilon_high = low_high

    def _check_words(self) -> None:
        choose(AGGREGATIONS, self.divergence_aggregation, "divergence_aggregation")
        choose(SCALES, self.divergence_scale, "divergence_scale")
        choose(REDUCTIONS, self.entropy_reduction, "entropy_reduction")
        choose(SCHEDULES, self.exploration_schedule, "exploration_schedule")
        choose(UNDECIDED, self.undecided, "undecided")
        choose(STRATEGIES, self.replacement, "replacement")
        choose(CHOICES, self.teacher_choice, "teacher_choice")
        choose(SHAPINGS, self.shaping, "shaping")
        choose(POSITIVE_WEIGHTS, self.positive_row_weight, "positive_row_weight")
        one_of(("push_down", "spare"), self.failed_groups, "failed_groups")
        check_rollouts(self.rollouts)
        self.encoder_options = parse_mapping("encoder_options", self.encoder_options)
        check_spec(self.encoder, part=self.encoder_part, **self.encoder_options)
        self.shaping_rewards = parse_shaping(self.shaping_rewards)
        scales = {True: "group", False: "none"}
        self.scale_rewards = scales.get(self.scale_rewards, self.scale_rewards)  # type: ignore[call-overload]
        one_of(("none", "group", "batch"), self.scale_rewards, "scale_rewards")

    def _check_ranges(self) -> None:
        if not 0 <= self.teacher_rows < self.num_generations:
            most = self.num_generations - 1
            raise ValueError(f"teacher_rows={self.teacher_rows!r} must be between 0 and num_generations - 1 = {most}.")
        names = self._trl_only()
        weighs = self.positive_weight != 1 or self.positive_row_weight != "one"
        own = self.shapes or self.imitates or self.guides or self.policy_weight != 1 or self.clip == "none" or weighs
        if names and self.teacher_rows == 0 and own:
            raise ValueError(
                f"{', '.join(names)} use TRL's own objective: set exploration_weight=0, no shaping_rewards, no "
                "imitation, no guided rollouts, no weight of positive rows, and a clip (say clip=0.2)."
            )
        self.check_imitation()
        self.check_guidance()
        self._check_sampling()
        if self.exploration_schedule == "constant" and self.exploration_schedule_end is not None:
            raise ValueError(
                "exploration_schedule_end belongs to a schedule: set exploration_schedule=linear or cosine."
            )
        if self.exploration_schedule != "constant" and not self.shapes:
            raise ValueError(
                f"exploration_schedule={self.exploration_schedule!r} has no weight to change: set exploration_weight "
                "or shaping_rewards."
            )
        for name, unused in _WITH_TEACHER_ROWS.items():
            if self.teacher_rows == 0 and getattr(self, name) != unused:
                raise ValueError(f"{name}={getattr(self, name)!r} has no effect with teacher_rows=0: leave it out.")
        if self.clip == "none" and self.delta is not None:
            raise ValueError("delta bounds the clipped objective: set clip (say clip=0.2) or leave delta unset.")

    def _check_sampling(self) -> None:
        """The entropies that are paid for must be those of the distribution that the tokens were drawn from."""
        if self.pays_for_entropies:
            own = {name: getattr(self, name) for name in ("top_p", "top_k", "min_p", "repetition_penalty")}
            check_options({**own, **parse_mapping("generation_kwargs", self.generation_kwargs)})
