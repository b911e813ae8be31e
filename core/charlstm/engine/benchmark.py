"""Measure the speed of a training step on this machine, choose the fastest kernel, and derive a run's plan from it.

Measurements use a network of their own with random text, so they change neither the weights nor the randomness of a
run. ``training.estimate`` stores them for the next run; ``training.plan`` computes the plan.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from charlstm import system
from charlstm.engine.devices import choose_device
from charlstm.engine.distributed import SINGLE_PROCESS, Ranks
from charlstm.engine.kernels import candidates, choose_kernel
from charlstm.engine.network import CharLSTM, extend_vocabulary
from charlstm.engine.train_step import TrainStep
from charlstm.text.batches import Batches, TrainingText
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.estimate import batch_shape, check_memory, find_speed, has_card, measured_vocab_size, store_speed
from charlstm.training.plan import MeasuredSpeed, Plan, fit_batch, make_plan
from charlstm.training.settings import Settings
from charlstm.training.threads import FREE_SHARE, free_threads, thread_counts

if TYPE_CHECKING:
    from charlstm.model.file import Model


BUDGET = 0.5
"""Seconds to compare the kernels. A person waits for the first step of a run."""

SHORT_BUDGET = 0.2
"""Seconds to time whole steps: training itself soon shows its speed."""

MOST_SECONDS = 2.5
"""Seconds after which no further step is measured, so that measuring takes 3 s at most on a busy machine. What is not
measured by then has its usual value: the kernel that is usually the fastest."""

LEAST_STEPS = 3
"""Steps of a measurement, at least. The first is a warm-up: it allocates memory and starts threads."""


def measure_and_plan(
    settings: Settings,
    text: TrainingText,
    ranks: Ranks = SINGLE_PROCESS,
    *,
    worked: Callable[[], float],
) -> Plan:
    """Measure the speed of a training step here and derive the plan of a run from it.

    ``worked`` returns the seconds of ``max_minutes`` that are used up; it is called after the measurement. Where such a
    run was measured here before, that speed is taken: training soon shows another one, and looks for the best number of
    threads.

    Raises :class:`~charlstm.errors.SettingsError` for a device that is not there, when the settings set no end, or when
    there are more ``ranks`` than rows to share.
    """
    vocab_size = len(text.vocabulary)
    rows, length = fit_batch(settings, text.train_targets)
    device = choose_device(settings.device)
    if text.corpus.options.units is not None and settings.kernel == "auto" and device.type == "cpu":
        # resets within a step slow nn to less than half
        settings = settings.with_changes(kernel="fused")
    own_rows = ranks.rows(rows)
    own_chars = (own_rows.stop - own_rows.start) * length
    check_memory(settings, vocab_size, own_chars, on_card=device.type == "cuda")
    alone = ranks.world_size == 1
    measured = find_speed(settings, vocab_size, rows, length) if alone else None
    if measured is not None and measured.kernel in candidates(settings, device):
        measured = replace(measured, threads=free_threads(threads_to_try(settings, device), processor_share()))
    else:
        measured = measure(settings, vocab_size, device, rows, length, ranks)
        if alone:
            store_speed(settings, vocab_size, rows, length, measured)
    return make_plan(
        settings,
        measured=measured,
        batch_size=rows,
        seq_length=length,
        steps_per_epoch=text.batches(rows, length, settings.seed).steps_per_epoch,
        held_out=text.held_out_targets,
        device=str(device),
        spent=worked(),
    )


def threads_to_try(settings: Settings, device: torch.device, ranks: Ranks = SINGLE_PROCESS) -> tuple[int, ...]:
    """The numbers of threads that a run may take steps with, ascending. A single one where the settings name it, where
    several processes share the cores, and on a graphics card, which computes everything."""
    most = settings.threads or ranks.threads(system.cpu_count())
    fixed = settings.threads is not None or ranks.world_size > 1 or device.type != "cpu"
    return (most,) if fixed else thread_counts(most)


def measured_speed(settings: Settings, chars: int, vocab_size: int) -> MeasuredSpeed:
    """The speed of a training step on a text of ``chars`` characters, ``vocab_size`` of them distinct.

    Stored from an earlier measurement on this machine, else measured now, which takes about a second. Raises
    :class:`~charlstm.errors.SettingsError` for a device that is not there, or for settings that need more memory than
    this machine has. torch's number of threads is restored.
    """
    rows, length = batch_shape(settings, chars)
    measured = find_speed(settings, vocab_size, rows, length)
    if measured is not None:
        return measured
    check_memory(settings, vocab_size, rows * length, on_card=has_card(settings.device))
    before = torch.get_num_threads()
    try:
        measured = measure(settings, measured_vocab_size(vocab_size), choose_device(settings.device), rows, length)
    finally:
        torch.set_num_threads(before)
    store_speed(settings, vocab_size, rows, length, measured)
    return measured


def initial_network(settings: Settings, vocabulary: Vocabulary, start_from: Model | None) -> CharLSTM:
    """The network before its first step: random by the seed, or ``start_from`` with new rows for characters it lacks.
    torch's global generator is not used."""
    if start_from is not None:
        return CharLSTM.from_model(extend_vocabulary(start_from, vocabulary, settings.seed))
    generator = torch.Generator().manual_seed(settings.seed)
    return CharLSTM(len(vocabulary), settings.hidden_size, settings.num_layers, init=settings.init, generator=generator)


def measure(
    settings: Settings,
    vocab_size: int,
    device: torch.device,
    batch_size: int,
    seq_length: int,
    ranks: Ranks = SINGLE_PROCESS,
) -> MeasuredSpeed:
    """Choose the fastest kernel, and time whole steps with it: data, masks, gradients, update. With fewer threads where
    other programs took the processor while torch was loaded: training looks for the best number.

    Takes about :data:`BUDGET` and :data:`SHORT_BUDGET` seconds, with a single kernel the second alone, and at most
    :data:`MOST_SECONDS` and a step. Each rank measures with its own rows. torch's global generator is not used; its
    number of threads is that of the result.
    """
    times, start = system.processor_times(), time.perf_counter()
    deadline = start + MOST_SECONDS
    counts = threads_to_try(settings, device, ranks)
    threads = free_threads(counts, processor_share())
    torch.set_num_threads(threads)
    shape = (vocab_size, settings.hidden_size, settings.num_layers)
    network = CharLSTM(*shape, init="torch", generator=torch.Generator().manual_seed(0)).to(device)
    rows = ranks.rows(batch_size)
    kernel = (names := candidates(settings, device))[0]
    if len(names) > 1:
        half = start + MOST_SECONDS / 2
        kernel = choose_kernel(names, network, rows.stop - rows.start, seq_length, budget=BUDGET, deadline=half)
    random = np.random.default_rng(0)
    ids = random.integers(0, vocab_size, 4 * batch_size * seq_length + 1)
    train_step = TrainStep(network, Batches(ids, [(0, len(ids))], batch_size, seq_length), settings, kernel, ranks)
    seconds: list[float] = []
    before = time.perf_counter()
    while (before < deadline and (len(seconds) < LEAST_STEPS or sum(seconds) < SHORT_BUDGET)) or not seconds:
        train_step.step(len(seconds), settings.lr * 1e-3)  # a rate of zero would be no cheaper
        now = time.perf_counter()
        seconds.append(now - before)
        before = now
    crowded = threads < counts[-1] or processor_share(times) < FREE_SHARE
    # The fastest step, because other work on the machine only ever makes steps slower. A plan that is too optimistic is
    # corrected after some seconds; one measured in a busy moment could end after a single step.
    fastest = min(seconds[1:] or seconds)
    return MeasuredSpeed(kernel, fastest, batch_size * seq_length, threads, crowded)


def processor_share(before: system.ProcessorTimes | None = None) -> float:
    """The part of the time in which threads of this process could compute since ``before``, by default since they
    began, and had a core for that; where the system does not tell, by the load average. On a quiet machine about
    0.95."""
    now, before = system.processor_times(), before or system.ProcessorTimes(0.0, 0.0)
    if now is None:
        return 1 / max(1.0, system.load() or 0.0)
    running, waiting = now.running - before.running, now.waiting - before.waiting
    return running / max(running + waiting, 1e-9)
