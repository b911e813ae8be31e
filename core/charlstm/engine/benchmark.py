"""Measure the speed of a training step on this machine, choose the fastest kernel, and derive a run's plan from it.

Measurements use a network of their own with random text, so they change neither the weights nor the randomness of a
run. ``training.estimate`` stores them for the next run; ``training.plan`` computes the plan.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable
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
from charlstm.training.threads import FREE_SHARE, ThreadSearch, thread_counts

if TYPE_CHECKING:
    from charlstm.model.file import Model


BUDGET = 1.2
"""Seconds to compare the kernels, and as many again to time whole steps."""

SHORT_BUDGET = 0.3
"""Seconds to time whole steps when the kernel is known or the only one: training itself soon shows its speed."""

MOST_SECONDS = 4.0
"""Seconds after which no further step is measured, so that measuring takes 5 s at most on a busy machine. What is not
measured by then has its usual value: the kernel that is usually the fastest, and a single thread where other programs
take the processor. With two threads a validation of 1,000 characters took 30 s on two cores beside ten busy processes,
since torch's threads wait for each other after every operation."""

WARM_UP = 2
"""Steps before the timed steps: the first steps allocate memory, and TorchScript optimises its loops."""

MOST_STEPS = 1000
"""Steps of a measurement, at most."""


def measure_and_plan(
    settings: Settings,
    text: TrainingText,
    ranks: Ranks = SINGLE_PROCESS,
    *,
    worked: Callable[[], float],
) -> Plan:
    """Measure the speed of a training step here and derive the plan of a run from it.

    ``worked`` returns the seconds of ``max_minutes`` that are used up; it is called after the measurement. The kernel
    that was the fastest when such a run was last measured here is taken, else all are compared.

    Raises :class:`~charlstm.errors.SettingsError` for a device that is not there, when the settings set no end, or when
    there are more ``ranks`` than rows to share.
    """
    vocab_size = len(text.vocabulary)
    rows, length = fit_batch(settings, text.train_targets)
    device = choose_device(settings.device)
    if text.corpus.options.units is not None and settings.kernel == "auto" and device.type == "cpu":
        # rows that start afresh within a step slow nn to less than half
        settings = settings.with_changes(kernel="fused")
    own_rows = ranks.rows(rows)
    own_chars = (own_rows.stop - own_rows.start) * length
    check_memory(settings, vocab_size, own_chars, on_card=device.type == "cuda")
    alone = ranks.world_size == 1
    known = find_speed(settings, vocab_size, rows, length) if alone else None
    kernel = known.kernel if known is not None and known.kernel in candidates(settings, device) else None
    measured = measure(settings, vocab_size, device, rows, length, ranks, kernel)
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

    Stored from an earlier measurement on this machine, else measured now, which takes about three seconds. Raises
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
    kernel: str | None = None,
) -> MeasuredSpeed:
    """Choose the fastest kernel unless ``kernel`` is given, and time whole steps: data, masks, gradients, update. Where
    other programs are in the way, also find the number of threads with which steps are fastest.

    Takes about twice :data:`BUDGET` seconds, with a single kernel :data:`SHORT_BUDGET`, and at most
    :data:`MOST_SECONDS` and a step. Each rank measures with its own rows. torch's global generator is not used; its
    number of threads is that of the result.
    """
    deadline, times = time.perf_counter() + MOST_SECONDS, system.processor_times()
    search = ThreadSearch(counts := threads_to_try(settings, device, ranks), counts[-1])
    torch.set_num_threads(search.count)
    shape = (vocab_size, settings.hidden_size, settings.num_layers)
    network = CharLSTM(*shape, init="torch", generator=torch.Generator().manual_seed(0)).to(device)
    rows = ranks.rows(batch_size)
    names = candidates(settings, device) if kernel is None else [kernel]
    kernel, budget = names[0], BUDGET if len(names) > 1 else SHORT_BUDGET
    if len(names) > 1:
        half = time.perf_counter() + MOST_SECONDS / 2
        kernel = choose_kernel(names, network, rows.stop - rows.start, seq_length, budget=BUDGET, deadline=half)
    random = np.random.default_rng(0)
    ids = random.integers(0, vocab_size, 4 * batch_size * seq_length + 1)
    train_step = TrainStep(network, Batches(ids, [(0, len(ids))], batch_size, seq_length), settings, kernel, ranks)
    seconds: defaultdict[int, list[float]] = defaultdict(list)
    start = time.perf_counter()
    for step in itertools.count():
        before, processor = time.perf_counter(), time.process_time()
        train_step.step(step, settings.lr * 1e-3)  # a rate of zero would be no cheaper
        now = time.perf_counter()
        seconds[search.count].append(now - before)
        if step >= WARM_UP:
            search.add(now - before, time.process_time() - processor)
        if now >= deadline or step == MOST_STEPS or (step > WARM_UP and now - start >= budget and search.settled):
            break
        torch.set_num_threads(search.count)
    crowded = _was_crowded(times)
    threads = counts[0] if crowded and not search.settled else search.chosen
    torch.set_num_threads(threads)
    timed = seconds[threads] or seconds[search.chosen]
    # The fastest step, because other work on the machine only ever makes steps slower. A plan that is too optimistic is
    # corrected after some seconds; one measured in a busy moment could end after a single step.
    return MeasuredSpeed(kernel, min(timed[1:] or timed), batch_size * seq_length, threads, crowded)


def _was_crowded(before: system.ProcessorTimes | None) -> bool:
    """Whether this process has waited for a free core since ``before``, more than on a quiet machine."""
    now = system.processor_times()
    if before is None or now is None:
        return False
    running, waiting = now.running - before.running, now.waiting - before.waiting
    return waiting > (1 - FREE_SHARE) * (running + waiting)
