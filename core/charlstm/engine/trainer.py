"""The training loop as a stream of events: it prints nothing and knows no screen, file or folder.

:meth:`Trainer.events` is the loop; the rest is what its lines mean. A step itself is in ``learner``, the rate in
``schedule``, how often and how long in ``planning``, how long it has been in ``clock``, what it is told meanwhile in
``commands``, how a run of an earlier process goes on in ``resuming``.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import torch

from charlstm import storage
from charlstm.engine import resume
from charlstm.engine.benchmark import faster_kernel, initial_network, measure_and_plan
from charlstm.engine.checkpoint_writer import CheckpointWriter
from charlstm.engine.devices import choose_device
from charlstm.engine.distributed import SINGLE_PROCESS, Ranks
from charlstm.engine.evaluation import evaluate
from charlstm.engine.kernels import candidates, fast_path_problem
from charlstm.engine.network import CharLSTM
from charlstm.engine.train_step import StepOutcome, TrainStep
from charlstm.errors import ModelError, RunError, TextError
from charlstm.model.file import Model, Weights
from charlstm.text.batches import Batches, TrainingText, learnt, most_learnt
from charlstm.text.statistics import parts_overlap
from charlstm.text.vocabulary import Vocabulary
from charlstm.training import estimate
from charlstm.training.commands import Command, CommandQueue
from charlstm.training.events import (
    AnyEvent,
    Controlled,
    Finished,
    Paused,
    Resumed,
    Sampled,
    Started,
    Stepped,
    Validated,
    Warned,
)
from charlstm.training.hooks import CheckpointStore, CommandSource, SampleWriter
from charlstm.training.plan import MeasuredSpeed, Plan, fit_batch, replanned
from charlstm.training.progress import Clock, Progress
from charlstm.training.schedule import Amendment, Kind, LearningRate
from charlstm.training.settings import Settings, changed
from charlstm.training.state import TrainingState

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus


FINISH_SECONDS = 25.0
"""Time in which *finish* takes the rate to zero; with a last validation the run ends within 30 s."""

CHECK_KERNEL_SECONDS = 3.0
"""Seconds of training after which the choice of the kernel is checked."""


WORTH_CHECKING = 20.0
"""Seconds that training has to go on for, else the check would cost more than it gains."""

REPLAN_BEYOND = 0.02
"""Part of the steps left by which the clock must disagree before ``max_minutes`` moves the end."""


class _Stopped(Exception):
    """Somebody asked to stop while a validation is on its way."""

    def __init__(self, command: Command) -> None:
        self.command = command


class Trainer:
    """One run of training: from nothing, from a model, or by :meth:`resume` from an exact state.

    ``plan`` and ``schedule`` are there once the first event is.
    """

    plan: Plan
    schedule: LearningRate
    progress: Progress

    def __init__(
        self,
        corpus: Corpus,
        settings: Settings,
        *,
        start_from: Model | None = None,
        sample: SampleWriter | None = None,
        store: CheckpointStore | None = None,
        commands: CommandSource | None = None,
        plan: Plan | None = None,
        info: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        ranks: Ranks = SINGLE_PROCESS,
    ) -> None:
        """``start_from`` gives the first weights and the network's size; characters it lacks get new rows. ``plan`` is
        what an earlier start of this run froze before it was killed; ``info`` goes into every model that is saved.
        ``ranks`` are the processes that share each batch; this one leads them.

        Raises :class:`TextError` for a text that has nothing to learn.
        """
        self.settings = settings
        self._frozen = plan
        self.progress = Progress()
        self._asked = settings
        if start_from is not None:
            shape = start_from.config
            self.settings = settings.with_changes(hidden_size=shape.hidden_size, num_layers=shape.num_layers)
        self._start_from = start_from
        known = corpus.vocabulary if start_from is None else start_from.vocabulary
        self._take(corpus, known.extended(corpus.vocabulary))
        self._sample = sample
        self._commands = CommandQueue(commands, {})
        self._info = dict(info or {})
        if start_from is not None:
            self._info.setdefault("lineage", {"learnt": learnt(start_from.info)})
        self._sleep = sleep
        self._ranks = ranks
        self._checkpoint_writer = CheckpointWriter(store)
        self._best: Weights | None = None
        self._going_on: tuple[TrainingState, Resumed] | None = None
        self._kernel_checked = True  # by an earlier process, unless this one makes the plan
        self._clock = Clock(self.progress)
        self._threads: int | None = None
        self._short: str | None = None
        self._train_loop = self._train()  # suspended between two events, whichever iterator asks for the next one
        self._iterating = self._broken_off = False

    @classmethod
    def resume(
        cls,
        corpus: Corpus,
        settings: Settings,
        state: TrainingState,
        *,
        replay: Sequence[Controlled] = (),
        sample: SampleWriter | None = None,
        store: CheckpointStore | None = None,
        commands: CommandSource | None = None,
        info: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        ranks: Ranks = SINGLE_PROCESS,
    ) -> Self:
        """Go on from ``state``. ``settings`` are those the run was asked for, perhaps changed; ``replay`` holds every
        ``control`` line of the log as read, repeats and all: changes of the rate that the state does not know yet are
        made again at their logged step; pauses and stops are over.

        Raises :class:`SettingsError` for a change that a run cannot take, :class:`ModelError` for a state that does
        not fit, :class:`TextError` for another text.
        """
        try:
            asked = Settings.from_dict(state.record["asked"])
            before = Settings.from_dict(state.record["settings"])
            changes = changed(asked, settings)
            now = before.with_changes(**changes)
            trainer = cls(corpus, now, sample=sample, store=store, info=info, sleep=sleep, ranks=ranks)
            if state.record["fingerprint"] != corpus.fingerprint:
                raise TextError(f"The run was trained on another text than {corpus.name} is now: start a new run")
            trainer._asked = settings
            known = Vocabulary.from_dict(state.record["vocabulary"])
            whole = known.extended(corpus.vocabulary)  # states of 0.1 may lack the replacement symbol's role alone
            if known.symbols != whole.symbols:
                raise ModelError("The training state lacks characters of its own text: resume from the one before it")
            trainer._take(corpus, whole)
            on = resume.plan_resume(state, replay, before, changes, ranks)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError("The training state lacks what a resume needs: resume from the one before it") from error
        trainer.progress, trainer.plan, trainer.schedule = on.progress, on.plan, on.schedule
        trainer._commands = CommandQueue(commands, on.again)
        trainer._going_on = (state, on.event)
        trainer._clock = Clock(trainer.progress)
        return trainer

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────────

    def events(self) -> Generator[AnyEvent]:
        """Train. The first event is ``started`` or ``resumed`` (a full disk apart), the last ``finished``. ``started``
        comes once more, at step 0, when training begins again with a faster kernel after its first seconds.

        Training rests while the iterator is not asked for more. It may be closed at any event: what is written to the
        store is then completed, what waits to be written goes on waiting, and the next call of this method goes on with
        the very next event, as if there had been one iterator. After ``finished`` there are no more events.

        torch's number of threads is the caller's at each event, and its global generator is never drawn from. Raises
        :class:`RunError` while another iterator of this trainer is neither exhausted nor closed, and after an exception
        (an interrupt among them) that broke training off within a step.
        """
        if self._iterating:
            raise RunError("This trainer is already being iterated: go on with that iterator, or close it first")
        self._iterating = True
        self._clock.start()
        try:
            while (event := self._next_event()) is not None:
                yield event
        finally:
            self._iterating = False
            self._clock.close()
            self._checkpoint_writer.close()

    def _next_event(self) -> AnyEvent | None:
        if self._broken_off:
            raise RunError(
                f"Training broke off at step {self.progress.step:,}, perhaps with a step half done: use Trainer.resume "
                "to go on from the last state that was kept, or make a new trainer"
            )
        threads = torch.get_num_threads()
        torch.set_num_threads(self._threads or threads)
        self._clock.skip()  # who took the last event may have had to wait for a disk or a terminal
        try:
            return next(self._train_loop, None)
        except BaseException:
            self._broken_off = True
            raise
        finally:
            self._clock.worked()
            torch.set_num_threads(threads)

    def _train(self) -> Iterator[AnyEvent]:
        self._saved = time.perf_counter()
        yield from self._begin()
        while not self._is_finished():
            yield from self._handle_commands()
            if self._is_finished():
                break
            rate = self.schedule.rate(self.progress.step)
            before = self._clock.worked()
            outcome = self._train_step.step(self.progress.step, rate)  # forward, backward, clip, update, average
            if not outcome.finite:
                yield self._diverged(rate)
                break
            self._record_step(outcome, self._clock.worked() - before)
            if (yield from self._begin_anew()):
                continue
            if self._due(self.plan.log_every):
                yield self._step_event(rate)
            if self._due(self.plan.val_every) or self.progress.step in self.plan.snapshot_steps:
                yield from self._validate_and_sample()
            yield from self._watch_time_limit()
        yield from self._end()

    def _is_finished(self) -> bool:
        return self.progress.ended is not None or self.progress.step >= self.schedule.planned_steps

    def _due(self, every: int) -> bool:
        """Whether something that comes ``every`` so many steps, and at the end, comes now."""
        progress = self.progress
        return progress.step % every == 0 or progress.step == self.schedule.planned_steps or progress.ended == "time"

    # ── beginning and end ─────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, corpus: Corpus, vocabulary: Vocabulary) -> None:
        settings = self.settings
        self._training_text = TrainingText.of(
            corpus, vocabulary, settings.val_fraction, settings.split, settings.test_fraction
        )

    def _begin(self) -> Iterator[AnyEvent]:
        if self._going_on is None:
            yield from self._start()
            return
        (state, event), self._going_on = self._going_on, None  # the tensors would be kept to the end
        plan, shape = (
            self.plan,
            (len(self._training_text.vocabulary), self.settings.hidden_size, self.settings.num_layers),
        )
        self._check_memory(torch.device(plan.device), plan.batch_size, plan.seq_length)
        self._prepare(CharLSTM(*shape, init="none"))
        self._train_step.load(state.tensors)
        best = {name.removeprefix("best."): array for name, array in state.tensors.items() if name.startswith("best.")}
        self._best = best or None
        self._clock.start_pace()
        if self._best is not None:  # the model's file may be of a course that is not taken now, or gone
            self._checkpoint_writer.model(self.best)
        yield event
        yield from self._warn_of_machine()
        if event.changes:
            # From here on they are the run's own: else a second resume would put them before what is asked now.
            self._checkpoint()
            yield from self._wait_for_writes(wait=True)

    def _start(self) -> Iterator[AnyEvent]:
        settings, material = self.settings, self._training_text
        if self._frozen is not None:
            # A plan that was made on another machine is made again: nothing has been trained by it.
            self._frozen = resume.as_named_now(self._frozen) if resume.runs_here(self._frozen) else None
        self._kernel_checked = self._frozen is not None
        device = choose_device(settings.device if self._frozen is None else self._frozen.device)
        self._check_memory(device, *fit_batch(settings, material.train_targets))
        yield from self._begin_at_step_0(self._frozen or self._new_plan(self._kernel_known(device)))

    def _kernel_known(self, device: torch.device) -> str | None:
        """The kernel that was the fastest when such a run was measured here before."""
        known = None if self._ranks.world_size > 1 else estimate.find_speed(self.settings, *self._shape())
        return known.kernel if known is not None and known.kernel in candidates(self.settings, device) else None

    def _new_plan(self, kernel: str | None) -> Plan:
        """Measure, and plan; what is new of the measurement is remembered for the next such run."""
        plan = measure_and_plan(
            self.settings, self._training_text, self._ranks, worked=self._clock.worked, kernel=kernel
        )
        symbols, rows, length = self._shape()
        known = estimate.find_speed(self.settings, symbols, rows, length)
        if self._ranks.world_size == 1 and (known is None or known.kernel != plan.kernel):
            measured = MeasuredSpeed(plan.kernel, plan.seconds_per_step, rows * length)
            estimate.store_speed(self.settings, symbols, rows, length, measured)
        return plan

    def _shape(self) -> tuple[int, int, int]:
        """Symbols, rows and characters of a row: what the speed of a step depends on, with the settings."""
        return len(self._training_text.vocabulary), *fit_batch(self.settings, self._training_text.train_targets)

    def _begin_at_step_0(self, plan: Plan) -> Iterator[AnyEvent]:
        settings, material, self.plan = self.settings, self._training_text, plan
        self.schedule = LearningRate(settings.lr, settings.schedule, plan.warmup_steps, plan.planned_steps)
        if plan is not self._frozen:
            self._checkpoint_writer.plan(plan)
            yield from self._wait_for_writes(wait=True)
        self._prepare(initial_network(settings, material.vocabulary, self._start_from))
        origin = {} if self._start_from is None else self._start_from.info
        if self._kernel_checked:
            self._start_from = None  # it would be kept to the end
        yield Started(
            step=0,
            planned_steps=plan.planned_steps,
            steps_per_epoch=plan.steps_per_epoch,
            parameters=self._train_step.network.config.parameters,
            train_chars=sum(stop - start for start, stop in material.train),
            val_chars=sum(stop - start for start, stop in material.held_out),
            test_chars=sum(stop - start for start, stop in material.test),
            device=plan.device,
            kernel=self._train_step.kernel.name,
            kernel_path=self._train_step.kernel.path,
            threads=plan.threads,
        )
        yield from self._warn_of_machine()
        if (plan.batch_size, plan.seq_length) != (settings.batch_size, settings.seq_length):
            yield self._warning(
                f"The text is small, so training reads {plan.batch_size} × {plan.seq_length} characters a step "
                f"instead of {settings.batch_size} × {settings.seq_length}: it will learn little but the text by heart"
            )
        for warning in self._overlaps(origin):
            yield self._warning(warning)
        if not material.held_out:
            yield self._warning("Nothing is held out to validate on, so the last model is kept, not the best")
        yield from self._validate_and_sample()
        self._clock.start_pace()
        self._checkpoint()

    def _begin_anew(self) -> Generator[AnyEvent, None, bool]:
        """Check the choice of the kernel, once and after the first seconds of training: it was made in one moment, in
        which the machine may have been busy. Where another is much faster, begin the run again with that one and a plan
        that fits it, and return true: it is then the run that a better choice would have made from the start.

        Done before anything of a later step is kept; afterwards the kernel stays, so that a resume is exact.
        """
        progress, plan = self.progress, self.plan
        keeps = self._due(plan.val_every) or progress.step in plan.snapshot_steps
        if self._kernel_checked or not (keeps or progress.train_seconds >= CHECK_KERNEL_SECONDS):
            return False
        self._kernel_checked = True
        start_from, self._start_from = self._start_from, None
        pace = progress.train_seconds / progress.step
        if self.schedule.amendments or (self.schedule.planned_steps - progress.step) * pace < WORTH_CHECKING:
            return False
        found = faster_kernel(self.settings, len(self._training_text.vocabulary), plan, pace, self._ranks)
        if found is None:
            return False
        kernel, factor = found
        better = self._new_plan(kernel)
        self.progress = Progress(work_seconds=self._clock.worked())
        self._clock.count_into(self.progress)
        self._best, self._start_from = None, start_from
        yield from self._begin_at_step_0(better)
        yield self._warning(
            f"Training began again after {progress.step:,} steps, with the kernel {kernel}: it is {factor:.1f} times "
            f"as fast here as {plan.kernel}, which was chosen when the machine was busy"
        )
        return True

    def _overlaps(self, origin: Mapping[str, Any]) -> Iterator[str]:
        """Why the loss on what is held out says too little of new text: ``origin`` tells of the model that training
        starts from."""
        material = self._training_text
        for part, spans in (("held-out part", material.held_out), ("test part", material.test)):
            share, text = most_learnt(learnt(origin), material.corpus, spans)
            if text is not None:
                test = f", test_fraction={text['test_fraction']:g}" if text.get("test_fraction") else ""
                yield (
                    f"The model that training starts from has learnt {share:.0%} of the {part}, since it was trained "
                    "on this text with another split: the loss on it is no measure; hold out the same with "
                    f"val_fraction={text['val_fraction']:g}{test} and split={text['split']}"
                )
            if (overlap := parts_overlap(material.corpus, material.train, spans, part)) is not None:
                yield overlap

    def _check_memory(self, device: torch.device, rows: int, seq_length: int) -> None:
        """See ``estimate.check_memory``; this process takes its own rows of a batch."""
        own, symbols = self._ranks.rows(rows), len(self._training_text.vocabulary)
        chars = (own.stop - own.start) * seq_length
        self._short = estimate.check_memory(self.settings, symbols, chars, on_card=device.type == "cuda")

    def _prepare(self, network: CharLSTM) -> None:
        plan = self.plan
        self._threads = plan.threads
        torch.set_num_threads(plan.threads)
        batches = Batches(self._training_text.ids, self._training_text.train, plan.batch_size, plan.seq_length)
        network.to(plan.device).train()
        self._train_step = TrainStep(network, batches, self.settings, plan.kernel, self._ranks)

    def _warn_of_machine(self) -> Iterator[AnyEvent]:
        """Say where this machine is not up to the run: too little memory is free, or the fast kernel is missing."""
        problems = [self._short, fast_path_problem(self.settings, torch.device(self.plan.device))]
        self._short = None
        for problem in problems:
            if problem is not None:
                yield self._warning(problem)

    def _diverged(self, rate: float) -> AnyEvent:
        self.progress.ended = "diverged"
        return self._warning(
            f"The loss is no longer a number after step {self.progress.step:,}, at learning rate {rate:.2g}: training "
            f"stops here, and the best model so far (step {self.progress.best_step:,}) is kept; try a lower lr or clip"
        )

    def _end(self) -> Iterator[AnyEvent]:
        progress = self.progress
        progress.ended = reason = progress.ended or "done"
        diverged = reason == "diverged"  # then a resume goes on from the last good state
        if reason != "stopped" and progress.whole_val is None and progress.best_val is not None:
            if not diverged:
                self._checkpoint()  # to read all that is held out may take long
                yield from self._wait_for_writes(wait=True)
            if (yield from self._validate_whole()) and not diverged:
                reason = "stopped"
        if not diverged:
            self._checkpoint()
        yield from self._wait_for_writes(wait=True)
        yield Finished(
            step=progress.step,
            reason=reason,
            best_val=progress.loss,
            best_step=progress.best_step,
            train_seconds=progress.train_seconds,
            best_whole=progress.whole_val is not None,
        )

    def _validate_whole(self) -> Generator[AnyEvent, None, bool]:
        """The last figure: the best model over all that is held out. Returns whether that was stopped, and is still to
        be done by a resume."""
        network = CharLSTM.from_model(self.best).to(self.plan.device)
        try:
            figure = evaluate(network, self._training_text.ids, self._training_text.held_out, progress=self._break_off)
        except _Stopped as stopped:
            self._commands.remove(stopped.command)
            yield self._controlled(stopped.command, None)
            return True
        self.progress.whole_val = figure.nats
        yield Validated(
            step=self.progress.step,
            val_loss=figure.nats,
            chars=figure.chars,
            best=False,
            whole=True,
            train_seconds=self.progress.train_seconds,
        )
        self._checkpoint_writer.model(self.best)
        return False

    def _break_off(self, *_: int) -> None:
        self._commands.poll()
        if (command := self._commands.find("stop")) is not None:
            raise _Stopped(command)

    # ── between two steps ─────────────────────────────────────────────────────────────────────────────────────────

    def _record_step(self, outcome: StepOutcome, seconds: float) -> None:
        progress = self.progress
        progress.step += 1
        progress.train_seconds += seconds
        progress.nats += outcome.nats
        progress.count += outcome.count
        progress.grad_norm = max(progress.grad_norm, outcome.grad_norm)
        progress.seconds += seconds

    def _step_event(self, rate: float) -> AnyEvent:
        progress = self.progress
        event = Stepped(
            step=progress.step,
            epoch=progress.step / self.plan.steps_per_epoch,
            train_loss=progress.nats / max(progress.count, 1),
            lr=rate,
            grad_norm=progress.grad_norm,
            chars_per_second=progress.count / max(progress.seconds, 1e-9),
            train_seconds=progress.train_seconds,
            work_seconds=self._clock.worked(),
        )
        progress.nats, progress.count, progress.grad_norm, progress.seconds = 0.0, 0, 0.0, 0.0
        return event

    def _validate_and_sample(self) -> Iterator[AnyEvent]:
        """Validate, write a sample, keep the best model and the pictures of its childhood."""
        progress, material = self.progress, self._training_text
        loss: float | None = None
        model: Model | None = None  # one copy of the weights, for all that asks for it
        if self._due(self.plan.val_every):
            better = True
            if material.held_out:
                figure = evaluate(self._train_step.result, material.ids, material.held_out, self.plan.val_chars)
                loss = figure.nats
                better = math.isfinite(loss) and (progress.best_val is None or loss < progress.best_val)
                yield Validated(
                    step=progress.step,
                    val_loss=loss,
                    chars=figure.chars,
                    best=better,
                    train_seconds=progress.train_seconds,
                )
            progress.stale = 0 if better else progress.stale + 1
            if better:
                progress.best_val, progress.best_step = loss, progress.step
                model = self._model(loss)
                self._best = model.weights
                self._checkpoint_writer.model(model)
            elif self._is_out_of_patience():
                progress.ended = "patience"
        if self._sample is not None:
            model = model or self._model(loss)
            try:
                prime, text = self._sample(model)
            except ModelError as error:  # its weights ran away: the loss will tell, and the best model is kept
                yield self._warning(f"No sample was written: {error}")
            else:
                yield Sampled(step=progress.step, prime=prime, text=text)
        if self._checkpoint_writer.keeps and progress.step in self.plan.snapshot_steps:
            self._checkpoint_writer.snapshot(model or self._model(loss), progress.step)

    def _is_out_of_patience(self) -> bool:
        """Not when more was asked for: the rate climbs again then, and it takes long to get below what was."""
        patience = self.settings.patience
        return patience is not None and self.progress.stale >= patience and not self.schedule.extended

    def _handle_commands(self) -> Iterator[AnyEvent]:
        """Act on what people asked, write what is due, and move on what is being written."""
        for again in self._commands.take_replay(self.progress.step):
            yield replace(again, step=self.progress.step, time=time.time())
            self._amend(again)
        self._commands.poll()
        while self.progress.ended is None and (command := self._commands.next()) is not None:
            yield from self._handle_command(command)
        if self._checkpoint_due():
            self._checkpoint()
        yield from self._wait_for_writes()

    def _handle_command(self, command: Command) -> Iterator[AnyEvent]:
        progress = self.progress
        value = command.value
        if command.command == "finish":
            value = float(min(self._finish_steps(), self.schedule.planned_steps - progress.step))
        event = self._controlled(command, value)
        yield event
        match command.command:
            case "stop":
                progress.ended = "stopped"
            case "checkpoint":
                self._checkpoint()
            case "set-lr" | "finish":
                self._amend(event)
            case "pause":
                yield from self._pause()

    def _controlled(self, command: Command, value: float | None) -> Controlled:
        return Controlled(step=self.progress.step, id=command.id, command=command.command, value=value)

    def _amend(self, event: Controlled) -> None:
        if event.value is not None and not self.schedule.knows(event.id):
            kind: Kind = "finish" if event.command == "finish" else "set-lr"
            self.schedule = self.schedule.amended(Amendment(self.progress.step, kind, event.value, event.id))

    def _finish_steps(self) -> int:
        return max(1, round(FINISH_SECONDS / (self._clock.pace() or self.plan.seconds_per_step)))

    def _pause(self) -> Iterator[AnyEvent]:
        yield Paused(step=self.progress.step)
        self._checkpoint()
        self._clock.worked()
        while self.progress.ended is None:
            for event in self._wait_for_writes():
                yield event
                if isinstance(event, Resumed):  # from waiting for the disk
                    yield Paused(step=self.progress.step)
            self._commands.poll()
            command = self._commands.next()
            if command is None:
                self._rest(0.1)
                continue
            if command.command == "pause":
                yield self._controlled(command, None)
            else:
                yield from self._handle_command(command)
            if command.command in ("resume", "finish"):
                break
        if self.progress.ended is None:
            yield Resumed(step=self.progress.step, planned_steps=self.schedule.planned_steps)

    def _rest(self, seconds: float) -> None:
        self._ranks.keep_alive()
        self._sleep(seconds)
        self._clock.skip()

    def _watch_time_limit(self) -> Iterator[AnyEvent]:
        """Hold ``max_minutes``: after each validation move the end to where the clock will be; stop hard."""
        worked, progress = self._clock.worked(), self.progress
        if self.settings.max_minutes is None or self._is_finished():
            return
        if worked >= 60 * self.settings.max_minutes:
            looked = self._due(self.plan.val_every)
            progress.ended = "time"
            if not looked:  # else what was learnt since would be lost
                yield from self._validate_and_sample()
        elif progress.step % self.plan.val_every == 0 and not self.schedule.finishing:
            pace = self._clock.pace()
            if not pace or self._clock.steps < self.plan.val_every:
                # This process began between two validations: few steps beside one seem slow. Its pace counts from here.
                pace = worked / progress.step or self.plan.seconds_per_step
                self._clock.start_pace()
            end = replanned(
                self.settings,
                self.plan,
                step=progress.step,
                pace=pace,
                worked=worked,
                held_out=self._training_text.held_out_targets,
            )
            planned = self.schedule.planned_steps
            if abs(end - planned) > REPLAN_BEYOND * (planned - progress.step):
                left = end - progress.step
                yield Controlled(step=progress.step, id="clock", command="replan", value=float(left))
                self.schedule = self.schedule.amended(Amendment(progress.step, "replan", left))

    # ── keeping ───────────────────────────────────────────────────────────────────────────────────────────────────

    def state(self) -> TrainingState:
        """All that an exact resume needs, as it is now."""
        tensors = self._train_step.tensors()
        tensors |= {f"best.{name}": array for name, array in (self._best or {}).items()}
        record = {
            "asked": self._asked.to_dict(),
            "settings": self.settings.to_dict(),
            "plan": self.plan.to_dict(),
            "schedule": self.schedule.to_dict(),
            "progress": self.progress.to_dict(),
            "environment": resume.environment(self.plan, self._ranks),
            "vocabulary": self._training_text.vocabulary.to_dict(),
            "fingerprint": self._training_text.corpus.fingerprint,
        }
        return TrainingState(self.progress.step, record, tensors)

    def _checkpoint_due(self) -> bool:
        every, minutes = self.settings.checkpoint_steps, self.settings.checkpoint_minutes
        if every is not None and self.progress.step % every == 0 and self.progress.step:
            return True
        return minutes is not None and time.perf_counter() - self._saved >= 60 * minutes

    def _checkpoint(self) -> None:
        """Copy the state and line it up to be written."""
        if not self._checkpoint_writer.keeps:
            return
        self._clock.worked()
        before = time.perf_counter()
        if self.progress.step:
            self._kernel_checked = True  # from here on the kernel is that of what is kept
        state = self.state()
        self._saved = time.perf_counter()
        self._checkpoint_writer.state(state, self._saved - before)

    @property
    def best(self) -> Model:
        """The best model so far, as the run keeps it. Raises :class:`ModelError` before the first validation."""
        if self._best is None:
            raise ModelError("There is no model yet: training has not begun")
        material, progress = self._training_text, self.progress
        info = self._about(progress.loss, progress.best_step, whole=progress.whole_val is not None)
        config = self._train_step.network.config
        return Model(config, material.vocabulary, self._best, material.corpus.options, info)

    def _wait_for_writes(self, *, wait: bool = False) -> Iterator[AnyEvent]:
        """Hand out what was written; while the disk does not take it, training waits and tries again."""
        for attempt in itertools.count():
            try:
                yield from self._checkpoint_writer.poll(wait=wait or attempt > 0 or self._checkpoint_writer.full)
            except OSError as error:
                if not storage.is_disk_trouble(error):
                    raise
                if not attempt:
                    yield Paused(step=self.progress.step, reason=f"nothing can be written: {error.strerror or error}")
                self._commands.poll()
                if self._commands.find("stop") is not None:
                    raise
                self._rest(1.0)
            else:
                if attempt:
                    yield Resumed(step=self.progress.step, planned_steps=self.schedule.planned_steps)
                return

    def _model(self, val_loss: float | None) -> Model:
        """The network as it is now, as a model (copies)."""
        info = self._about(val_loss, self.progress.step, whole=False)
        return self._train_step.result.to_model(
            self._training_text.vocabulary, self._training_text.corpus.options, info
        )

    def _about(self, val_loss: float | None, step: int, *, whole: bool) -> dict[str, Any]:
        """What is said of the model of ``step``, whose loss is ``val_loss``, over the ``whole`` held-out part or an
        estimate."""
        return {
            **self._info,
            "step": step,
            "val_loss": val_loss if val_loss is None or math.isfinite(val_loss) else None,
            "val_whole": None if val_loss is None else whole,
            "corpus": self._info.get("corpus", self._training_text.corpus.name),
            "fingerprint": self._training_text.corpus.fingerprint,
            "settings": self.settings.to_dict(),
        }

    def _warning(self, message: str) -> AnyEvent:
        return Warned(step=self.progress.step, message=message)
