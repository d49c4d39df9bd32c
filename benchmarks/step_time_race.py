"""Trainers that take their steps in turn (A B A B ...) in one process, with a stopwatch on each.

Every trainer runs its own `train()` in a thread of its own, and only the one that holds the baton works. It hands the
baton on where a rollout step begins, so that all it does for a step (fetching prompts, callbacks, logging) falls into
its own lap, and what else the machine does falls on all of them alike.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback, set_seed

from benchmarks.step_time_laps import LIMITED, STAGES, Lap
from benchmarks.step_time_limit import Products


def race(
    trainers: Mapping[str, Any],
    laps: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    limited: Collection[str] = (),
) -> dict[str, list[Lap]]:
    """Lets all trainers train, a rollout step at a time each; lap k of each draws from the same random seed.

    Args:
        trainers: by name, each with as many optimiser steps to go as `laps` rollout steps take.
        laps: rollout steps of each.
        clock: gives seconds.
        limited: names whose matrix products are recorded in their first lap and done again beside the others.

    Raises:
        RuntimeError: a trainer took another number of rollout steps, or trained without calling its model.
    """
    baton = Baton(trainers)
    timers = {name: LapTimer(trainer, baton, name, clock, limit=name in limited) for name, trainer in trainers.items()}

    def run(name: str) -> None:
        try:
            baton.wait(name)
            trainers[name].train()
        except BaseException:
            baton.drop()
            raise
        finally:
            baton.leave(name)

    with ThreadPoolExecutor(len(trainers)) as threads:
        runs = [threads.submit(run, name) for name in trainers]
    failures = [failure for failure in (run.exception() for run in runs) if failure is not None]
    for failure in sorted(failures, key=lambda failure: isinstance(failure, threading.BrokenBarrierError)):
        raise failure
    for name, timer in timers.items():
        if len(timer.laps) != laps or not all(lap.trained_tokens for lap in timer.laps):
            raise RuntimeError(f"{name}: {len(timer.laps)} rollout steps seen instead of {laps}, or no model forward")
    return {name: timer.laps for name, timer in timers.items()}


class Baton:
    """Lets threads work one at a time, in turn."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._order = deque(names)
        self._dropped = False
        self._changed = threading.Condition()

    def wait(self, name: str) -> None:
        """Until it is this one's turn.

        Raises:
            threading.BrokenBarrierError: another one failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._dropped or self._order[0] == name)
            if self._dropped:
                raise threading.BrokenBarrierError

    def pass_on(self) -> None:
        """It is the next one's turn."""
        with self._changed:
            self._order.rotate(-1)
            self._changed.notify_all()

    def leave(self, name: str) -> None:
        """This one takes no more turns."""
        with self._changed:
            self._order.remove(name)
            self._changed.notify_all()

    def drop(self) -> None:
        """Nobody gets another turn."""
        with self._changed:
            self._dropped = True
            self._changed.notify_all()


class LapTimer(TrainerCallback):
    """Times the rollout steps of a trainer from outside, by what stock GRPO and OGER's trainer have in common.

    generate `_generate`; verify `_calculate_rewards`; embed `encode` of the encoders; log-prob/entropy: model forwards
    without gradient outside generation; other: the rest of `_prepare_inputs` (choosing, padding, rewards, metrics), and
    what happens between two optimiser steps; update: everything else. On a GPU the stages are approximate, since work
    may still be queued when one returns; a lap is not.
    """

    def __init__(self, trainer: Any, baton: Baton, name: str, clock: Callable[[], float], *, limit: bool) -> None:
        args = trainer.args
        self._products = Products(lambda: self._stack[-1], trainer.model.parameters()) if limit else None
        self.laps: list[Lap] = []
        self._baton = baton
        self._name = name
        self._clock = clock
        self._seed = args.seed
        self._steps_per_lap = args.steps_per_generation // args.gradient_accumulation_steps
        self._on_gpu = args.device.type == "cuda"
        self._thread = 0
        self._stack = ["other"]
        trainer.add_callback(self)
        self._put_in(trainer, "_prepare_inputs", "other")
        self._put_in(trainer, "_generate", "generate")
        self._put_in(trainer, "_calculate_rewards", "verify", self._note_lengths)
        encoders = {id(e): e for e in (getattr(trainer, n, None) for n in ("encoder", "teacher_encoder")) if e}
        for encoder in encoders.values():
            self._put_in(encoder, "encode", "embed")
        trainer.model.register_forward_pre_hook(self._before_forward, with_kwargs=True)
        trainer.model.register_forward_hook(self._after_forward)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Where a rollout step begins, the lap ends and the baton goes on."""
        if state.global_step % self._steps_per_lap == 0:
            if state.global_step > 0:
                self._end_lap()
                self._baton.pass_on()
                self._baton.wait(self._name)
            self._begin_lap()
        self._enter("update")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """What follows is logging and fetching."""
        self._leave()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The last lap."""
        self._end_lap()

    def _begin_lap(self) -> None:
        set_seed(self._seed + len(self.laps))
        self._thread = threading.get_ident()
        if self._products is not None and not self.laps:
            self._products.__enter__()
        self._stages: dict[str, float] = defaultdict(float)
        self._lengths: list[int] = []
        self._rows = 0
        self._positions = 0
        self._tokens: list[Any] = []
        self._charged_at = self._began = self._now()

    def _end_lap(self) -> None:
        self._charge(self._now())
        limits = {}
        if self._products is not None:
            if self.laps:
                limits = {stage: self._products.seconds(stage, self._now) for stage in LIMITED}
            else:
                self._products.__exit__(None, None, None)
        self.laps.append(
            Lap(
                seconds=self._charged_at - self._began,
                stages={stage: self._stages[stage] for stage in STAGES},
                limits=limits,
                response_lengths=self._lengths,
                trained_rows=self._rows,
                trained_tokens=sum(int(count) for count in self._tokens),
                trained_positions=self._positions,
            )
        )

    def _now(self) -> float:
        if self._on_gpu:
            torch.cuda.synchronize()
        return self._clock()

    def _charge(self, now: float) -> None:
        self._stages[self._stack[-1]] += now - self._charged_at
        self._charged_at = now

    def _enter(self, stage: str) -> None:
        self._charge(self._clock())
        self._stack.append(stage)

    def _leave(self) -> None:
        self._charge(self._clock())
        self._stack.pop()

    @contextmanager
    def _stage(self, stage: str) -> Iterator[None]:
        self._enter(stage)
        try:
            yield
        finally:
            self._leave()

    def _put_in(self, owner: Any, method: str, stage: str, note: Callable[..., None] = lambda *_, **__: None) -> None:
        """Charges the calls of a method to a stage, unless another thread makes them beside the step's own work."""
        original = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            note(*args, **kwargs)
            if threading.get_ident() != self._thread:
                return original(*args, **kwargs)
            with self._stage(stage):
                return original(*args, **kwargs)

        setattr(owner, method, timed)

    def _note_lengths(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: list[list[int]]) -> None:
        self._lengths += [len(ids) for ids in completion_ids_list]

    def _before_forward(self, model: Any, args: Any, kwargs: Mapping[str, Any]) -> None:
        if torch.is_grad_enabled():
            self._rows += kwargs["input_ids"].shape[0]
            self._positions += kwargs["input_ids"].numel()
            self._tokens.append(kwargs["attention_mask"].sum())  # read when the lap is over
        elif "generate" not in self._stack:
            self._enter("log-prob/entropy")

    def _after_forward(self, *_: Any) -> None:
        if self._stack[-1] == "log-prob/entropy":
            self._leave()
