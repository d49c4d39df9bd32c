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
from pathlib import Path
from typing import Any

import torch
from accelerate.logging import get_logger
from accelerate.utils import gather_object
from torch import nn
from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler, nanstd

from oger.teachers.table.column import COLUMN
from oger.training import stages
from oger.training.batch import Rollouts, ScoredBatch, Verdicts
from oger.training.config import OGERConfig
from oger.training.groups.answer_logps import answer_logps, answer_spans
from oger.training.groups.encoding import make_encoders
from oger.training.groups.judge import TeacherJudge
from oger.training.groups.vectors import BatchVectors
from oger.training.logprobs.forward import forward_without_gradient
from oger.training.logprobs.trimmed import trimmed_log_probs
from oger.training.loop import checkpoint, data
from oger.training.loop.nonfinite import RowFaults, StepGuard, tell_none_from_nan
from oger.training.metrics import records, trl_logs
from oger.training.metrics.histograms import HistogramFile, HistogramSink
from oger.training.metrics.sums import MetricSums, StageClock
from oger.training.metrics.trackers import add_histograms
from oger.training.objective import layout
from oger.training.objective.imitation import Imitated, choose_imitated, imitation_part, join_rows, stream_weights
from oger.training.objective.loss import StepShare, hybrid_loss
from oger.training.rollouts.lean_generation import lean_generation
from oger.training.rollouts.replay import Replay, record_batch, replayed_path
from oger.training.scores.shaping import active_rewards, shape, shaping_weights
from oger.verification.rewards import completion_text

logger = get_logger(__name__)

_UNDECIDED = math.nan


class OGERTrainer(GRPOTrainer):
    """Trains a policy with verified teacher trajectories inside its rollout groups (OGER, arXiv 2604.18530).

    Args:
        model: as in `trl.GRPOTrainer`.
        reward_funcs: as in `trl.GRPOTrainer`. The first one (or the one that `OGERConfig.outcome_reward` names, or one
            named `outcome`) is the outcome R_m: correct where it is at least 1, undecided where it is None.
        args: an `OGERConfig`.
        train_dataset: as in `trl.GRPOTrainer`, plus the column `teachers`: a list, possibly empty, of texts or of
            mappings {text, teacher, verdict}.
        **kwargs: everything else of `trl.GRPOTrainer`.

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
        "citation": "@article{oger2026,\n    title = {{OGER: A Robust Offline-Guided Exploration Reward for Hybrid "
        "Reinforcement Learning}},\n    year = 2026,\n    eprint = {arXiv:2604.18530},\n}",
    }

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: OGERConfig | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        *more: Any,
        **kwargs: Any,
    ) -> None:
        args = OGERConfig("OGER") if args is None else args
        if not isinstance(args, OGERConfig):
            raise TypeError(f"args must be an OGERConfig, got {type(args).__name__}: import it from oger.")
        self._stock = not args.needs_own_objective
        # A run that asks for guidance must have teachers; one that leaves it open takes those that there are.
        required = (
            args.exploration_weight != 0 or args.imitates or (args.teacher_rows_requested and args.teacher_rows > 0)
        )
        if not self._stock:
            data.check_whole_groups(args)
            if required:
                data.check_guidance(train_dataset, kwargs)
        counts = None
        if processing_class is not None:  # known before the model is loaded, so that bad data fails early
            tokenizer = getattr(processing_class, "tokenizer", processing_class)
            train_dataset, counts = data.read_teachers(train_dataset, tokenizer, args, required=required)

        super().__init__(model, reward_funcs, args, train_dataset, eval_dataset, processing_class, *more, **kwargs)

        if counts is None:
            self.train_dataset, counts = data.read_teachers(
                self.train_dataset, self._tokenizer, args, required=required
            )
        self.teacher_counts = counts
        if not counts.kept:
            args.teacher_rows = 0
        if self._is_vlm or self.tools or self.environment_factories is not None:
            self._stock = True
            if args.teacher_rows > 0 or args.exploration_weight != 0 or args.imitates:
                raise ValueError(
                    "teacher rows, imitation and the exploration reward need a text policy without tools or "
                    "environments: set teacher_rows=0 and exploration_weight=0 for plain GRPO."
                )
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
        self.rollout_sinks: list[Callable[[int, list[dict[str, Any]]], Any]] = []
        if args.rollouts_every:
            self.rollout_sinks.append(records.parquet_sink(Path(args.record_dir or args.output_dir)))
        self.batch_sinks: list[Callable[[int, ScoredBatch], Any]] = []
        takers = add_histograms(self)
        if args.record_dir is not None:
            takers.append(HistogramFile(Path(args.record_dir)))
        if takers:
            self.batch_sinks.append(HistogramSink(takers, self.accelerator))
        path = replayed_path(args.rollouts)
        if path is not None and self.rollout_func is not None:
            raise ValueError("rollouts=replay takes the place of rollout_func: leave one of them out.")
        self._replay = None if path is None else Replay(path, self)
        self._sums = {"train": MetricSums(), "eval": MetricSums()}
        self._clock = StageClock()
        self.add_callback(self._clock)
        self._may_be_none = torch.tensor(
            [not isinstance(function, nn.Module) for function in self.reward_funcs], device=self.accelerator.device
        )
        self.reward_funcs = [tell_none_from_nan(function) for function in self.reward_funcs]
        self.step_guard = StepGuard(self)
        self.staging_folder: Path | None = None

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

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self._stock or not self.model.training:
            return super()._generate_and_score_completions(inputs)
        args, size, step = self.args, self.num_generations, self.state.global_step
        if not args.generates:
            return layout.supervised_batch(self, inputs, self._imitated(inputs, None))
        with self._clock.stage("generate"):
            rollouts = self._sample(inputs)
        faults = RowFaults(len(inputs), self.accelerator.device)
        with self._clock.stage("score"):
            verdicts = self._verify(inputs, rollouts, faults)
            encoders = self.encoder, self.teacher_encoder
            vectors = BatchVectors(inputs, rollouts.texts, *encoders, size, self.accelerator.device, faults)
            divergence_N = vectors.divergence(aggregation=args.divergence_aggregation, scale=args.divergence_scale)
            teacher_rows = stages.replace(
                inputs, verdicts.outcome_N, divergence_N, args, size, step, int(self.state.epoch or 0),
                self._tokenizer, self._judge, answer_logps(self, inputs, rollouts),
            )  # fmt: skip
        with self._clock.stage("logprob"):
            tensors = stages.tensorise(
                rollouts,
                teacher_rows,
                pad_token_id=self._tokenizer.pad_token_id,
                pad_to_multiple_of=self.pad_to_multiple_of,
                mask_truncated=self.mask_truncated_completions,
                device=self.accelerator.device,
            )
            forward = forward_without_gradient(self, tensors, rollouts.entropies, faults)
        with self._clock.stage("score"):
            outcome_weight = float(self.reward_weights[self.outcome_index])
            settled = stages.settle(verdicts, teacher_rows, args, outcome_weight=outcome_weight)
            spans = answer_spans(rollouts, tensors, self._tokenizer, args)
            unsure = stages.hesitation(forward, tensors, args, span_NT=spans)
            shaping = shape(
                self.shaping_rewards, inputs, rollouts.texts, settled, divergence_N, unsure, teacher_rows, tensors,
                forward, vectors, args, group_size=size, step=step,
            )  # fmt: skip
            shaping = {name: faults.take_out("shaping reward", value_N) for name, value_N in shaping.items()}
            scores = stages.score(
                settled, divergence_N, unsure, shaping, shaping_weights(self), tensors, args, group_size=size,
                gather=self.accelerator.gather,
            )  # fmt: skip
            self._record(
                ScoredBatch(
                    inputs=inputs,
                    rollouts=rollouts,
                    verdicts=verdicts,
                    divergence_N=divergence_N,
                    teacher_rows=teacher_rows,
                    tensors=tensors,
                    scores=scores,
                    forward=forward,
                    vectors=vectors,
                    group_size=size,
                )
            )
        imitated = self._imitated(inputs, verdicts.outcome_N) if args.imitates else None
        batch = layout.trl_batch(self, stages.without_dropped(tensors, scores), forward, scores, imitated)
        return {**batch, "fault_codes": faults.code_N}

    def _imitated(self, inputs: list[dict[str, Any]], outcome_N: torch.Tensor | None) -> Imitated:
        return choose_imitated(
            inputs, outcome_N, self.args, group_size=self.num_generations, step=self.state.global_step,
            tokenizer=self._tokenizer,
            device=self.accelerator.device,
        )  # fmt: skip

    def _sample(self, inputs: list[dict[str, Any]]) -> Rollouts:
        """G online rollouts per prompt by TRL's own generation; teacher rows are never generated."""
        prompts = [example["prompt"] for example in inputs]
        with lean_generation(self) as entropies:
            prompt_ids, completion_ids, token_masks, completions, logps, extra_fields, _, _ = self._generate(prompts)
        for key, values in extra_fields.items():  # what a custom rollout function hands to the reward functions
            for index, example in enumerate(inputs):
                example[key] = values[index] if isinstance(values, list) else values
        return Rollouts(
            prompts=prompts,
            prompt_ids=prompt_ids,
            completion_ids=completion_ids,
            completions=completions,
            texts=[completion_text(completion) for completion in completions],
            truncated_N=torch.tensor(self._truncated(completion_ids), device=self.accelerator.device),
            sampling_logps=logps,
            entropies=entropies,
            token_masks=token_masks,
        )

    def _generate(self, prompts: list[Any]) -> Any:
        if self.args.rollouts == "generate" or not self.model.training:
            return super()._generate(prompts)
        if self._replay is not None:
            with self._replay.in_place_of_generation():
                return super()._generate(prompts)
        generated = super()._generate(prompts)
        record_batch(self, prompts, generated)
        return generated

    def _truncated(self, completion_ids: list[list[int]]) -> list[bool]:
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        return [not ids or ids[-1] not in ends for ids in completion_ids]

    def _verify(self, inputs: list[dict[str, Any]], rollouts: Rollouts, faults: RowFaults) -> Verdicts:
        """Every reward function, once, on the online rows before any is replaced."""
        gathered = self._calculate_rewards(inputs, rollouts.prompts, rollouts.completions, rollouts.completion_ids)
        start = self.accelerator.process_index * len(inputs)
        per_function_NF = gathered[start : start + len(inputs)]
        is_none_NF = per_function_NF.isnan() & self._may_be_none
        per_function_NF = faults.take_out("reward", per_function_NF, inside=~is_none_NF, fill=_UNDECIDED)
        base_N = (per_function_NF * self.reward_weights.to(per_function_NF.device)).nansum(dim=1)
        base_N[per_function_NF.isnan().all(dim=1)] = _UNDECIDED
        return Verdicts(
            outcome_N=_threshold(per_function_NF[:, self.outcome_index]),
            base_reward_N=base_N,
            per_function_NF=per_function_NF,
        )

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if not self.model.training:
            rewards = torch.where(rewards.isinf(), _UNDECIDED, rewards)
            sums, device = self._sums["eval"], rewards.device
            outcome = _threshold(rewards[:, self.outcome_index])
            sums.add("outcome", outcome, ~outcome.isnan())
            sums.add("length", torch.tensor([len(ids) for ids in completion_ids_list], device=device))
            sums.add("truncated_share", torch.tensor(self._truncated(completion_ids_list), device=device))
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
        """Both streams of one micro-batch in one forward; batches without teacher marks go through TRL's loss."""
        if "offline" not in inputs:
            return super()._compute_loss(model, inputs)
        rows = join_rows(inputs)
        batch = rows.input_ids, rows.attention_mask, rows.width
        aux_loss = None
        if self.aux_loss_enabled:  # a mean over all tokens of the forward, which cannot be made of chunks
            logps_RW, entropy_RW, aux_loss = self._get_per_token_logps_and_entropies(
                model, *batch, compute_entropy=True, compute_aux_loss=True
            )
        else:
            # Ranks imitate different numbers of rows, and all must run the same number of forwards.
            uneven = "imitated_ids" in inputs and self.accelerator.num_processes > 1
            chunks = 1 if uneven else self.args.length_chunks
            idle_R = None if uneven else rows.idle_R
            logps_RW, entropy_RW = trimmed_log_probs(
                self, model, *batch, num_chunks=chunks, compute_entropy=True, idle_R=idle_R
            )
        accumulation = self.current_gradient_accumulation_steps
        share = StepShare(
            accumulation=accumulation,
            steps_per_generation=self.args.steps_per_generation,
            num_processes=self.accelerator.num_processes,
        )
        policy_weight, imitation_weight = stream_weights(
            self.args, self.state.global_step / max(self.state.max_steps, 1)
        )
        loss = torch.zeros((), device=logps_RW.device)
        if rows.num_policy:
            width = inputs["completion_ids"].size(1)
            logps_BT, entropy_BT = logps_RW[: rows.num_policy, :width], entropy_RW[: rows.num_policy, :width]
            loss = policy_weight * self._policy_loss(inputs, logps_BT, entropy_BT, share)
        if "imitated_ids" in inputs:
            logps_KW, entropy_KW = logps_RW[rows.num_policy :], entropy_RW[rows.num_policy :]
            loss = loss + imitation_weight * imitation_part(inputs, rows, logps_KW, entropy_KW, self.args, share)
            records.add_imitation_metrics(self._sums["train"], rows, logps_KW, imitation_weight)
        return loss if aux_loss is None else loss + self.router_aux_loss_coef * aux_loss / accumulation

    def _policy_loss(
        self, inputs: dict[str, Any], logps_BT: torch.Tensor, entropy_BT: torch.Tensor, share: StepShare
    ) -> torch.Tensor:
        """Mixed objective of the policy rows."""
        online_BT = inputs["completion_mask"] * inputs.get("tool_mask", 1) * ~inputs["offline"][:, None]
        known_entropy_BT = entropy_BT
        if "idle" in inputs:
            idle_B1 = inputs["idle"][:, None]
            known_entropy_BT = torch.where(idle_B1, inputs["sampled_entropy"].to(entropy_BT.dtype), entropy_BT)
            inputs = {**inputs, "completion_mask": inputs["completion_mask"] * ~idle_B1}
        records.add_entropy_metrics(self._sums["train"], known_entropy_BT, online_BT)
        online_BT = online_BT * inputs["completion_mask"]
        old_logps_BT = inputs.get("old_per_token_logps")
        old_logps_BT = logps_BT.detach() if old_logps_BT is None else old_logps_BT

        token_gate_BT = inputs.get("importance_sampling_ratio")
        if self.off_policy_mask_threshold is not None:
            keep_B1 = self.get_off_policy_mask(
                advantages=inputs["advantages"][:, None],
                per_token_logps=logps_BT,
                sampling_per_token_logps=inputs.get("sampling_per_token_logps", old_logps_BT),
                mask=online_BT,
                off_policy_threshold=self.off_policy_mask_threshold,
            )
            token_gate_BT = keep_B1 if token_gate_BT is None else token_gate_BT * keep_B1
        entropy_mask_BT = None
        if self.top_entropy_quantile < 1.0:
            entropy_mask_BT = self.get_high_entropy_mask(entropy_BT, online_BT, 1 - self.top_entropy_quantile)
        result = hybrid_loss(
            inputs, logps_BT, old_logps_BT, entropy_BT, self.args, share,
            token_gate_BT=token_gate_BT, entropy_mask_BT=entropy_mask_BT,
        )  # fmt: skip
        records.add_loss_metrics(self._sums["train"], result, logps_BT, old_logps_BT, online_BT)
        return result.loss

    @property
    def stage_in_progress(self) -> str:
        """`generate`, `score`, `logprob` or `update`; after an error, the one that it came from."""
        return self._clock.current

    # --- metrics and records --------------------------------------------------------------------------------------

    def _record(self, batch: ScoredBatch) -> None:
        metrics = self._metrics["train"]
        per_function = self.accelerator.gather(batch.verdicts.per_function_NF)
        for index, name in enumerate(self.reward_func_names):
            metrics[f"rewards/{name}/mean"].append(torch.nanmean(per_function[:, index]).item())
            metrics[f"rewards/{name}/std"].append(nanstd(per_function[:, index]).item())
        records.add_rollout_metrics(self._sums["train"], batch)
        trl_logs.flush_user_logs(self, self._sums["train"], len(batch.inputs))
        step = self.state.global_step + 1  # the optimiser step that this batch feeds
        for sink in self.batch_sinks:
            sink(step, batch)
        due = bool(self.rollout_sinks) and (step == 1 or step % max(self.args.rollouts_every, 1) == 0)
        if not (due or self.log_completions):
            return
        first_group = self.accelerator.process_index * len(batch.inputs) // batch.group_size
        rows = gather_object(records.rollout_rows(step, batch, first_group=first_group))
        if self.log_completions:
            trl_logs.feed_completion_log(self, rows)
        if due and self.accelerator.is_main_process:
            for write in self.rollout_sinks:
                write(step, rows)

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

    # --- checkpoints ----------------------------------------------------------------------------------------------

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        self._train_sampler = super()._get_train_sampler(dataset)
        return self._train_sampler

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        checkpoint.save_checkpoint(self, lambda: super(OGERTrainer, self)._save_checkpoint(model, trial))

    def _get_output_dir(self, trial: Any) -> str:
        return super()._get_output_dir(trial) if self.staging_folder is None else str(self.staging_folder)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        if self.staging_folder is None:  # else it is called again once the checkpoint is in its place
            super()._push_from_checkpoint(checkpoint_folder)

    def _load_optimizer_and_scheduler(self, checkpoint_folder: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint_folder)
        if checkpoint_folder is not None:
            checkpoint.load_loop_state(self, Path(checkpoint_folder))
            if isinstance(self._train_sampler, RepeatSampler):
                checkpoint.skip_epochs(self._train_sampler, int(self.state.epoch or 0))


def _threshold(reward: torch.Tensor) -> torch.Tensor:
    """1 where the reward is at least 1, 0 below, NaN (undecided) where it is NaN."""
    return torch.where(reward.isnan(), reward, (reward >= 1).to(reward))
