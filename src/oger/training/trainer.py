"""`OGERTrainer`: TRL's `GRPOTrainer` with hybrid groups, the exploration reward and the mixed objective.

A drop-in: same dataset columns plus `teachers`, same reward functions, same launchers. Two methods take the place of
TRL's: `_generate_and_score_completions`, which runs OGER's order of stages (generate -> verify -> embed -> replace ->
log-probs and entropies -> reward -> advantage), and `_compute_loss`, one model forward with the mixed objective.
Evaluation, and a run whose options only TRL's objective knows, go through TRL's own methods. The other overrides add to
what TRL does: metrics, columns, and the loop state that a checkpoint needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate.logging import get_logger
from datasets import Dataset, IterableDataset
from peft import PeftConfig, PeftModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin, TrainerCallback
from trl import GRPOTrainer
from trl.trainer.grpo_trainer import RewardFunc
from trl.trainer.utils import RepeatSampler

from oger.runs.card import CITATION, write_card
from oger.runs.paths import CONFIG, MODEL
from oger.runs.rollouts import write_rollouts
from oger.teachers.table.column import COLUMN
from oger.training.batch import ScoredBatch
from oger.training.config import OGERConfig
from oger.training.groups.answer_logps import answer_logps
from oger.training.groups.encoding import make_encoders
from oger.training.groups.judge import TeacherJudge
from oger.training.groups.replace import replace
from oger.training.groups.tensors import tensorise
from oger.training.groups.vectors import BatchVectors
from oger.training.groups.verdicts import UNDECIDED, outcome_of, verdicts_of
from oger.training.keeper import RunKeeper
from oger.training.logprobs.forward import forward_without_gradient
from oger.training.loop import data
from oger.training.loop.checkpoint import Checkpoints, skip_epochs
from oger.training.loop.nonfinite import RowFaults, StepGuard, tell_none_from_nan
from oger.training.metrics.histograms import HistogramFile, HistogramSink
from oger.training.metrics.recorder import BatchSink, Recorder, RowSink
from oger.training.metrics.sums import MetricSums, StageClock
from oger.training.metrics.trackers import add_histograms
from oger.training.metrics.trl_logs import TrlLogs
from oger.training.objective.counts import StepCounts
from oger.training.objective.imitation import choose_imitated
from oger.training.objective.layout import supervised_batch, trl_batch
from oger.training.objective.loss import micro_batch_loss
from oger.training.rollouts import replay
from oger.training.rollouts.guided import Guidance
from oger.training.rollouts.sample import sample, truncated
from oger.training.sampling_options import check_policy
from oger.training.scores.confidence import answer_spans, hesitation
from oger.training.scores.score import score, settle, without_dropped
from oger.training.scores.shaping import active_rewards, shape, shaping_weights
from oger.training.step import StepContext

logger = get_logger(__name__)


class OGERTrainer(GRPOTrainer):
    """Trains a policy with verified teacher trajectories inside its rollout groups (OGER, arXiv 2604.18530).

    What is not listed (eval_dataset, callbacks, peft_config ...) is as in `trl.GRPOTrainer`.

    Args:
        model: as in `trl.GRPOTrainer`.
        reward_funcs: as in `trl.GRPOTrainer`. The first one (or the one that `OGERConfig.outcome_reward` names, or one
            named `outcome`) is the outcome R_m: correct where it is at least 1, undecided where it is None.
        args: an `OGERConfig`.
        train_dataset: as in `trl.GRPOTrainer`, plus the column `teachers`: a list, possibly empty, of texts or of
            mappings {text, teacher, verdict}.
        run: `oger.RunFolder`, where the training is to leave a run folder.

    Raises:
        ValueError: on options or data that contradict each other; the message says what to change.
        TypeError: if `args` is not an `OGERConfig`.
    """

    args: OGERConfig
    model: Any
    num_generations: int
    max_completion_length: int
    pad_to_multiple_of: int | None
    _signature_columns: Any

    _tag_names = ["trl", "oger"]  # noqa: RUF012 - TRL's class attribute
    _name = "OGER"
    _paper = {  # noqa: RUF012 - TRL's class attribute
        "title": "OGER: A Robust Offline-Guided Exploration Reward for Hybrid Reinforcement Learning",
        "id": "2604.18530",
        "citation": CITATION,
    }

    def __init__(
        self,
        model: str | PreTrainedModel | PeftModel,
        reward_funcs: RewardFunc | list[RewardFunc] | None = None,
        args: OGERConfig | None = None,
        train_dataset: Dataset | IterableDataset | None = None,
        eval_dataset: Dataset | IterableDataset | dict[str, Dataset | IterableDataset] | None = None,
        processing_class: PreTrainedTokenizerBase | ProcessorMixin | None = None,
        reward_processing_classes: Any = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, torch.optim.lr_scheduler.LambdaLR | None] = (None, None),
        quantization_config: Any = None,
        peft_config: PeftConfig | None = None,
        tools: list[Callable[..., Any]] | None = None,
        rollout_func: Callable[..., Any] | None = None,
        environment_factory: Any = None,
        *,
        run: RunKeeper | None = None,
    ) -> None:
        args = OGERConfig("OGER") if args is None else args
        if not isinstance(args, OGERConfig):
            raise TypeError(f"args must be an OGERConfig, got {type(args).__name__}: import it from oger.")
        self._stock = not args.needs_own_objective
        required = args.requires_teachers
        if not self._stock:
            data.check_whole_groups(args)
            if required:
                data.check_guidance(train_dataset, {"tools": tools, "environment_factory": environment_factory})
        data.check_batch(train_dataset, args)
        train_dataset = data.read_answers(train_dataset, reward_funcs, "the training set")
        eval_dataset = data.read_answers(eval_dataset, reward_funcs, "the validation set")
        self._run = run
        if run is not None:
            run.prepare(
                model, reward_funcs, args, train_dataset, eval_dataset, processing_class, peft_config
            )  # before anything is built: it sets where checkpoints and records go
        counts = None
        self.answer_rules = data.outcome_rules(reward_funcs, args.outcome_reward)
        if processing_class is not None:  # known before the model is loaded, so that bad data fails early
            tokenizer: Any = getattr(processing_class, "tokenizer", processing_class)
            turn = data.policy_turn(train_dataset, tokenizer, args, data.stop_ids(model), self.answer_rules)
            if tokenizer is processing_class:
                data.check_all_prompts(train_dataset, eval_dataset, tokenizer, args, data.context_config(model))
            train_dataset, counts = data.read_teachers(train_dataset, turn, args, required=required)

        super().__init__(
            model, reward_funcs, args, train_dataset, eval_dataset, processing_class, reward_processing_classes,
            callbacks, optimizers, quantization_config, peft_config, tools, rollout_func, environment_factory,
        )  # fmt: skip

        if processing_class is None and not self._is_vlm:
            data.check_all_prompts(self.train_dataset, eval_dataset, self._tokenizer, args, self.model.config)
        self.turn = data.policy_turn(self.train_dataset, self._tokenizer, args, self.eos_token_ids, self.answer_rules)
        if counts is None:
            self.train_dataset, counts = data.read_teachers(self.train_dataset, self.turn, args, required=required)
        self.teacher_counts = counts
        if (doubtful := counts.warning()) is not None:
            logger.warning(doubtful)
        if not counts.kept:
            args.teacher_rows = 0
        if self._is_vlm or self.tools or self.environment_factories is not None:
            self._stock = True
            if args.teacher_rows > 0 or args.exploration_weight != 0 or args.imitates or args.guides:
                raise ValueError(
                    "teacher rows, imitation, guided rollouts and the exploration reward need a text policy without "
                    "tools or environments: set teacher_rows=0 and exploration_weight=0 for plain GRPO."
                )
        drawn_here = not args.use_vllm and self.rollout_func is None and args.replayed is None
        if args.pays_for_entropies and drawn_here:
            policy = self.accelerator.unwrap_model(self.model)
            check_policy(self.generation_config, getattr(policy, "generation_config", None))
        if args.clip_range is None:
            self.epsilon_low = self.epsilon_high = math.inf  # TRL's loss, used in evaluation, then does not clip either
        self.outcome_index = data.outcome_index(self.reward_func_names, args.outcome_reward)
        outcome = self.reward_funcs[self.outcome_index]
        if args.teacher_rows > 0 and counts.kept_without_verdict and isinstance(outcome, nn.Module):
            raise ValueError(
                f"{counts.kept_without_verdict} teacher trajectories have no verdict, and a reward model as outcome "
                "scores batches only: put a verdict into the table."
            )
        self._judge = TeacherJudge(outcome, lambda: self.state, getattr(self, "async_loop", None))
        policy_source = getattr(self.accelerator.unwrap_model(self.model).config, "_name_or_path", None)
        self.encoder, self.teacher_encoder = make_encoders(args, policy_source)
        self.shaping_rewards = active_rewards(args)
        self.step_guard = StepGuard(self, Path(args.record_dir or args.output_dir))
        self._sums = {"train": MetricSums(), "eval": MetricSums()}
        self._step_counts = StepCounts()
        self._clock = StageClock()
        self.add_callback(self._clock)
        if self.rollout_func is not None and args.guides:
            raise ValueError("guided rollouts are continued by TRL's own generation: leave rollout_func or them out.")
        self._guidance = Guidance()
        self._given: list[list[int]] | None = None
        self._checkpoints = Checkpoints(self, self._sums["train"], self.encoder, self.step_guard, self._guidance)
        self.rollout_sinks: list[RowSink] = []
        if args.rollouts_every:
            self.rollout_sinks.append(partial(write_rollouts, args.record_dir or args.output_dir))
        self.batch_sinks: list[BatchSink] = []
        takers = add_histograms(self.callback_handler.callbacks)
        if args.record_dir is not None:
            takers.append(HistogramFile(Path(args.record_dir)))
        if takers:
            self.batch_sinks.append(HistogramSink(takers, self.accelerator))
        self._recorder = Recorder(
            TrlLogs(self, self.outcome_index), self.batch_sinks, self.rollout_sinks, args.rollouts_every,
            self.log_completions,
        )  # fmt: skip
        self._replay = None if args.replayed is None else self._read_replay(args.replayed)
        self._may_be_none_F = torch.tensor(
            [not isinstance(function, nn.Module) for function in self.reward_funcs], device=self.accelerator.device
        )
        self.reward_funcs = [tell_none_from_nan(function) for function in self.reward_funcs]

    def _read_replay(self, path: Path) -> replay.Replay:
        if self.rollout_func is not None:
            raise ValueError("rollouts=replay takes the place of rollout_func: leave one of them out.")
        first = None
        if isinstance(self.train_dataset, Dataset):
            indices = islice(self._get_train_sampler(), self.args.generation_batch_size)
            first = [self.train_dataset[index]["prompt"] for index in indices]
        return replay.Replay(path, self.args, replay.origin(self.args, self._tokenizer), first)

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; with a `run`, the run's own: evaluated before and after, and everything kept."""
        if self._run is None:
            return super().train(resume_from_checkpoint, *args, **kwargs)
        if resume_from_checkpoint is not None:
            raise ValueError("a run goes on from its newest checkpoint: RunFolder(..., resume=True)")
        keeper, self._run = self._run, None
        return keeper.train(self, lambda checkpoint: GRPOTrainer.train(self, checkpoint, *args, **kwargs))

    # --- construction -------------------------------------------------------------------------------------------

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if COLUMN not in self._signature_columns:
            self._signature_columns = [*self._signature_columns, COLUMN]

    def get_train_dataloader(self) -> Any:
        """TRL's, without a walk through every text of all rows for each micro-batch, in search of tensors to move."""
        dataloader = super().get_train_dataloader()
        dataloader.device = None
        return dataloader

    # --- one rollout batch ----------------------------------------------------------------------------------------

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """TRL's micro-batch, with the token counts of its own optimiser step in the place of the rollout batch's."""
        inputs = super()._prepare_inputs(generation_batch)
        if not self.model.training or "offline" not in inputs:
            return inputs
        accumulation, parts = self.current_gradient_accumulation_steps, self._buffered_inputs
        assert parts is not None, "TRL keeps the micro-batches of a rollout batch while it trains on them"
        return {**inputs, **self._step_counts.of(self._context(), self._step, accumulation, parts)}

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """The stages of a rollout batch, in their order; each is a function of what the earlier ones made."""
        if self._stock or not self.model.training:
            return super()._generate_and_score_completions(inputs)
        args, context, clock = self.args, self._context(), self._clock
        if not args.generates:
            prompt_ids, *_ = self._tokenize_prompts([example["prompt"] for example in inputs])
            return supervised_batch(context, prompt_ids, choose_imitated(context, inputs, None))
        with clock.stage("generate"):
            lean = args.generates_lean and self.rollout_func is None
            self._given = self._guidance.choose(context, inputs) if args.guides else None
            rollouts = sample(context, inputs, self._generate, lean=lean, ends=self._ends, given=self._given)
        faults = RowFaults(len(inputs), context.device)
        with clock.stage("score"):
            rewards_AF = self._calculate_rewards(
                inputs, rollouts.prompts, rollouts.completions, rollouts.completion_ids
            )
            verdicts = verdicts_of(
                context, rewards_AF, faults, weight_F=self.reward_weights, outcome_index=self.outcome_index,
                may_be_none_F=self._may_be_none_F,
            )  # fmt: skip
            vectors = BatchVectors(
                inputs, rollouts.texts, self.encoder, self.teacher_encoder, context.group_size, context.device, faults
            )
            divergence_N = vectors.divergence(aggregation=args.divergence_aggregation, scale=args.divergence_scale)
            answers = answer_logps(context, inputs, rollouts.prompt_ids)
            if self._given is not None:
                self._guidance.learn(context, inputs, self._given, verdicts.outcome_N)
            teacher_rows = replace(
                context, inputs, verdicts.outcome_N, divergence_N, self._judge, answers, rollouts.given_N
            )
        with clock.stage("logprob"):
            tensors = tensorise(context, rollouts, teacher_rows)
            forward = forward_without_gradient(context, tensors, rollouts.entropies, faults)
        with clock.stage("score"):
            outcome_weight = float(self.reward_weights[self.outcome_index])
            settled = settle(verdicts, teacher_rows, args, outcome_weight=outcome_weight)
            spans = answer_spans(rollouts, tensors, self._tokenizer, args, self.answer_rules)
            unsure = hesitation(forward, tensors, args, span_NT=spans)
            shaping = shape(
                context, self.shaping_rewards, inputs, rollouts.texts, settled, divergence_N, unsure, teacher_rows,
                tensors, forward, vectors,
            )  # fmt: skip
            shaping = {name: faults.take_out("shaping reward", value_N) for name, value_N in shaping.items()}
            weights = shaping_weights(context, self.shaping_rewards)
            scores = score(context, settled, divergence_N, unsure, shaping, weights, tensors)
            batch = ScoredBatch(
                inputs=inputs,
                rollouts=rollouts,
                verdicts=verdicts,
                divergence_N=divergence_N,
                teacher_rows=teacher_rows,
                tensors=tensors,
                scores=scores,
                forward=forward,
                vectors=vectors,
                group_size=context.group_size,
            )
            self._recorder.record(context, batch)
        imitated = choose_imitated(context, inputs, verdicts.outcome_N) if args.imitates else None
        kept = without_dropped(tensors, scores)
        trained = trl_batch(context, kept, forward, scores, imitated, aux_loss=self.aux_loss_enabled)
        return {**trained, "fault_codes": faults.code_N}

    def _context(self) -> StepContext:
        accelerator, state = self.accelerator, self.state
        return StepContext(
            args=self.args,
            tokenizer=self._tokenizer,
            turn=self.turn,
            answer_rules=self.answer_rules,
            device=accelerator.device,
            step=state.global_step,
            progress=state.global_step / max(state.max_steps, 1),
            epoch=int(state.epoch or 0),
            rank=accelerator.process_index,
            num_processes=accelerator.num_processes,
            gather=accelerator.gather,
            reduce=partial(accelerator.reduce, reduction="sum"),
            sums=self._sums["train"],
            policy=self.model,
            unwrapped_policy=accelerator.unwrap_model(self.model_wrapped),
            reference=self.ref_model,
            score_tokens=self._get_per_token_logps_and_entropies,
            off_policy_mask=self.get_off_policy_mask,
            high_entropy_mask=self.get_high_entropy_mask,
        )

    def _generate(self, prompts: list[Any]) -> Any:
        args = self.args
        if args.rollouts == "generate" or not self.model.training:
            return super()._generate(prompts)
        number = replay.batch_number(args, self._step)
        recorded = self._replay
        if recorded is None:
            generated = super()._generate(prompts)
            made_by = replay.origin(args, self._tokenizer)
            folder, main = Path(args.record_dir or args.output_dir), self.accelerator.is_main_process
            replay.record_batch(folder, number, prompts, generated, made_by, main=main)
            return generated
        first_row = self.accelerator.process_index * len(prompts)
        self.rollout_func = lambda prompts, _: recorded.rollouts(number, prompts, first_row=first_row)
        try:
            return super()._generate(prompts)
        finally:
            self.rollout_func = None

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, multimodal_fields: Any, num_generations: int, has_tool_images: bool = False
    ) -> Any:
        """TRL's; the tokens that rollouts are given stand behind their prompts, which then differ within a group."""
        if self.model.training and self._given is not None and any(self._given):
            prompt_ids = [[*ids, *given] for ids, given in zip(prompt_ids, self._given, strict=True)]
            num_generations = 1
        return super()._generate_single_turn(prompt_ids, images, multimodal_fields, num_generations, has_tool_images)

    @property
    def _ends(self) -> set[int]:
        return {*self.eos_token_ids, self._tokenizer.pad_token_id}

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if not self.model.training:
            rewards = torch.where(rewards.isinf(), UNDECIDED, rewards)
            sums, device = self._sums["eval"], rewards.device
            outcome = outcome_of(rewards[:, self.outcome_index])
            sums.add("outcome", outcome, ~outcome.isnan())
            sums.add("length", torch.tensor([len(ids) for ids in completion_ids_list], device=device))
            sums.add("truncated_share", torch.tensor(truncated(completion_ids_list, self._ends), device=device))
        return rewards

    # --- the loss -------------------------------------------------------------------------------------------------

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        return self.step_guard.watch(inputs, loss) if self.model.training else loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        grad_norm = super()._get_grad_norm(model, grad_norm)
        self.step_guard.check(model, grad_norm)
        return grad_norm

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Batches without teacher marks go through TRL's loss."""
        if "offline" not in inputs:
            return super()._compute_loss(model, inputs)
        aux_weight = self.router_aux_loss_coef if self.aux_loss_enabled else None
        accumulation = self.current_gradient_accumulation_steps
        return micro_batch_loss(self._context(), model, inputs, accumulation, aux_weight=aux_weight)

    @property
    def stage_in_progress(self) -> str:
        """`generate`, `score`, `logprob` or `update`; after an error, the one that it came from."""
        return self._clock.current

    # --- metrics --------------------------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        mode = "train" if self.model.training else "eval"
        if mode == "train":
            self._clock.flush(self._sums[mode], self.state.global_step)
        if mode == "train" and self.step_guard.skipped:
            logs["skipped_steps"] = self.step_guard.skipped
        prefix = "eval_" if mode == "eval" else ""
        logs.update({prefix + name: mean for name, mean in self._sums[mode].means(self.accelerator).items()})
        if logs.get("eval_runtime", 0.0) < 0:  # transformers reads the wall clock, and somebody has set it back
            for name in [name for name in logs if name.endswith(("_runtime", "_per_second"))]:
                del logs[name]
        super().log(logs, start_time)

    def create_model_card(  # type: ignore[override]  # TRL's signature, not transformers'
        self, model_name: str | None = None, dataset_name: str | None = None, tags: str | list[str] | None = None
    ) -> None:
        """README.md beside the checkpoints, which a push takes along: the run's card; TRL's without a run folder."""
        run = Path(self.args.record_dir) if self.args.record_dir is not None else None
        if run is None or not (run / CONFIG).is_file():
            super().create_model_card(model_name, dataset_name, tags)
        elif self.is_world_process_zero():
            write_card(run, Path(str(self.args.output_dir)), MODEL)

    # --- checkpoints ----------------------------------------------------------------------------------------------

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        self._train_sampler = super()._get_train_sampler(dataset)
        return self._train_sampler

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self._checkpoints.save(lambda: super(OGERTrainer, self)._save_checkpoint(model, trial))

    def _get_output_dir(self, trial: Any) -> str:
        staging = self._checkpoints.staging
        return super()._get_output_dir(trial) if staging is None else str(staging)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        if self._checkpoints.staging is None:  # else it is called again once the checkpoint is in its place
            super()._push_from_checkpoint(checkpoint_folder)

    def _load_optimizer_and_scheduler(self, checkpoint_folder: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint_folder)
        if checkpoint_folder is not None:
            self._checkpoints.load_loop_state(Path(checkpoint_folder))
            if isinstance(self._train_sampler, RepeatSampler):
                skip_epochs(self._train_sampler, int(self.state.epoch or 0))
