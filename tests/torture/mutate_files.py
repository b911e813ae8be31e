"""Reads thousands of damaged and hostile files of every kind that the program reads.

``python tests/torture/mutate_files.py [--each N] [--seed S] [--only KIND]`` prints a table and fails when a file leads
to anything but correct reading or one sentence of the ``CharLSTMError`` family, takes more than a bounded time or
memory, or gets something executed. A failure prints how to see it again: ``--only KIND --replay CASE --seed S``. Each
kind is read in a process of its own by everything that reads it, the screens' wording included.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import math
import mmap
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import unittest.mock
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from mutations import (
    CANARY,
    Mutation,
    damage_bytes,
    damage_json_or_bytes,
    damage_lines,
    damage_log,
    damage_tensors,
    damage_zip,
    enlarge_weights,
    flip_bit,
    hostile_pickles,
)

from charlstm import storage
from charlstm.cli.main import run as command_line
from charlstm.config import example_config, load_config
from charlstm.errors import CharLSTMError
from charlstm.fields import plain
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.session_document import document_of
from charlstm.generation.session_file import (
    load_session,
    read,
    read_summary,
    save_session,
    state_of,
    write,
)
from charlstm.generation.tree import CHOSEN
from charlstm.model.file import load_model, read_info, save_model
from charlstm.runs import index
from charlstm.runs.control import ControlReader
from charlstm.runs.folder import Run, list_runs
from charlstm.runs.launch import NewRun, create_new_run
from charlstm.runs.log import read_events
from charlstm.runs.notes import Notes, change_notes
from charlstm.runs.series import RunSeries
from charlstm.runs.store import load_state
from charlstm.runs.text import keep_text, open_text
from charlstm.runs.verdict import judge
from charlstm.text import cache, catalogue, corpus, statistics
from charlstm.training.plan import Plan, read_plan
from charlstm.training.settings import Settings
from charlstm.training.settings_file import load_settings
from recorded_run import NASTY, record, tiny_model

SECONDS = 10.0
"""A file of at most some megabytes must be dealt with in that time, on a machine that does other things besides."""
MEMORY = 300 * 2**20
"""Bytes that reading one may take."""
ADDRESS_SPACE = 4 * 2**30
"""What the whole process may take beyond what it has, so that a failure does not take the machine along."""

_OF_CLASSES = ("dataclasses", "collections", "typing")
"""Modules that make classes and their hints by executing strings, which come from source code alone."""

TEXT = "".join(f"{n} green bottles hanging on the wall, and if one falls — é\n" for n in range(80))


@dataclass(frozen=True)
class Kind:
    """One kind of file: ``path`` is what gets damaged, ``goods`` are whole contents of it, ``use`` reads it by all that
    reads it. ``use`` runs in the kind's own folder; what it returns does not matter. ``prepare`` makes the other files
    anew that ``use`` changes."""

    path: Path
    goods: tuple[bytes, ...]
    damage: Mutation
    use: Callable[[], Any]
    prepare: Callable[[], Any] = lambda: None


# ── the kinds ───────────────────────────────────────────────────────────────────────────────────────────────────────


def models(place: Path) -> Kind:
    path = place / "model.safetensors"
    goods = []
    for seed, symbols in enumerate(("ab\n", " abcdefgh\n\u200b\U0001f600", "x")):
        model = tiny_model(seed=seed, symbols=tuple(symbols), hidden_size=4, run="r", prime="a", step=7, val_loss=1.5)
        save_model(path, model)
        goods.append(path.read_bytes())

    def use() -> None:
        tried(lambda: read_info(path))
        answered("info", str(path))
        with contextlib.suppress(CharLSTMError):
            about_model(path)
        session = Session(load_model(path), "ab")
        for _ in range(3):
            session.step()

    return Kind(path, tuple(goods), damage_tensors, use)


def huge_models(place: Path) -> Kind:
    """Models whose weights are finite and large: an answer in finite numbers, or one sentence."""
    from charlstm.system import prepare_for_torch

    prepare_for_torch()
    path, text = place / "model.safetensors", place / "text.txt"
    text.write_text(TEXT[:400])
    symbols = corpus.open_corpus(text).vocabulary.symbols
    goods = []
    for seed in range(2):
        save_model(path, tiny_model(seed=seed, symbols=symbols, hidden_size=4))
        goods.append(path.read_bytes())
    target = place / "model.net"

    def use() -> None:
        length = ("--length", "20", "--prime", "one")
        for command, *rest in (("info",), ("eval", str(text)), ("score", str(text)), ("generate", *length)):
            answered(command, str(path), *rest, "--json")
        answered("generate", str(path), *length, "--samples", "3", "--json")
        answered("generate", str(path), *length, "--show-probs", "--json")
        answered("export", str(path), "--to", "script", "--out", str(target), "--force")
        for settings in (
            SamplerSettings(),
            SamplerSettings(temperature=1e-9, repetition=2.0),
            SamplerSettings(mirostat=3.0),
        ):
            session = Session(load_model(path), "ab", settings=settings)
            for step in session.stream(5):
                assert 0 <= step.probability <= 1
                assert math.isfinite(step.entropy)

    return Kind(path, tuple(goods), enlarge_weights, use)


def about_model(path: Path) -> None:
    """What the app makes of a model's ``info``."""
    from charlstm_tui.player.state import PlayRequest, describe

    describe(load_model(path), path, PlayRequest(str(path)))


def states(place: Path) -> Kind:
    from charlstm.engine.trainer import Trainer

    run = record(place / "runs", steps=10).run
    text = place / "text.txt"
    text.write_text(TEXT)
    source = corpus.open_corpus(text)
    settings = Settings(hidden_size=4, num_layers=1, batch_size=2, seq_length=8, max_steps=6, threads=1, kernel="nn",
                        device="cpu", checkpoint_steps=3, val_every=3, ema_decay=0.9)  # fmt: skip
    kept = _States()
    list(Trainer(source, settings, store=kept, plan=small_plan()).events())
    from charlstm.training.state import save_state

    goods = []
    for state in kept.states:
        save_state(run.state_path, state)
        goods.append(run.state_path.read_bytes())
    run.previous_state_path.unlink(missing_ok=True)

    def use() -> None:
        state, _ = load_state(run)
        if state is None:
            assert not os.path.lexists(run.state_path)
            return
        trainer = Trainer.resume(source, settings, state)
        events = trainer.events()
        for _, _event in zip(range(4), events, strict=False):
            pass
        events.close()

    return Kind(run.state_path, tuple(goods), damage_tensors, use)


class _States:
    """A store that keeps states in memory."""

    def __init__(self) -> None:
        self.states: list[Any] = []

    def save_plan(self, plan: Any) -> None: ...

    def save_model(self, model: Any) -> None: ...

    def save_snapshot(self, model: Any, step: int) -> None: ...

    def save_state(self, state: Any) -> None:
        self.states.append(state)


def small_plan() -> Plan:
    return Plan(
        device="cpu", kernel="nn", threads=1, batch_size=2, seq_length=8, steps_per_epoch=4, planned_steps=6,
        warmup_steps=2, log_every=2, val_every=3, val_chars=64, snapshot_steps=(0,),
        seconds_per_step=0.001, chars_per_second=10_000.0,
    )  # fmt: skip


def events(place: Path) -> Kind:
    goods = []
    for state in ("finished", "failed", "stopped"):
        run = record(place / "made", state, steps=60, planned=100, sample=NASTY).run
        goods.append(run.events_path.read_bytes())
    run = record(place / "runs", "finished", steps=10, name="r").run
    run.heartbeat_path.unlink()  # so that the status, too, is read from the log

    def use() -> None:
        look_at(run)
        answered("watch", "r", "--plain", "--runs-dir", str(run.path.parent))
        answered("watch", "r", "--json", "--runs-dir", str(run.path.parent))
        list(read_events(run.events_path))

    return Kind(run.events_path, tuple(goods), damage_lines, use)


def look_at(run: Run) -> None:
    """A run's log, status and request in the words and curves of the app. Raises what the log's reader raises."""
    from charlstm_tui import formatting
    from charlstm_tui.run_watcher import RunsReader, RunsState
    from charlstm_tui.runs import compare, details, run_details, table
    from charlstm_tui.train import run_summary

    state = RunsReader(run.path.parent).read(run.path, True)
    formatting.status_words(state)
    found = run_details.read_details(run)
    series = RunSeries()
    tried(lambda: series.feed(read_events(run.events_path)))
    for view in state.runs:
        table.line(view, True, 120, True)
        details.run_lines(view, found, 80, False)
        compare.differences([(view, found), (view, found)], 2, 80, True)
        run_summary.progress(view)
        run_summary.headline(view, found.spec, series)
        run_summary.figures(series, True)
        shown = RunsState(runs=(view,), attached=view.path, series=series)
        run_summary.run_result(run_summary.ShownRun(shown, found.spec, references=(("order 0", 3.0),)))
        judge(series, view.status, references={"order 0": 3.0})
    judge(series, None, references={"order 0": 3.0})
    for line in ("train", "validation", "lr", "grad_norm", "speed"):
        for axis in ("step", "seconds"):
            series.curve(line, axis, smoothing=0.6)
    (series.seconds_left(), series.progress(), series.chars_per_second, series.best_val, series.best_step)


def control(place: Path) -> Kind:
    path = place / "control.jsonl"
    lines = [
        {"id": f"{n:08x}", "time": 1e9 + n, "command": word, "value": 1e-3 if word == "set-lr" else None}
        for n, word in enumerate(("pause", "resume", "set-lr", "checkpoint", "finish", "stop"))
    ]

    def use() -> None:
        reader = ControlReader(path)
        for command in (*reader.read(), *reader.read(), *ControlReader(path, 17).read()):
            assert command.value is None or 0 < command.value <= 1000
            f"{command.id} {command.command} {command.value or 0:g}"

    return Kind(path, ("".join(json.dumps(line) + "\n" for line in lines).encode(),), damage_lines, use)


def heartbeats(place: Path) -> Kind:
    runs = [record(place / "made", state, steps=20).run for state in ("finished", "crashed", "failed")]
    run = record(place / "runs", "crashed", steps=20, name="r").run
    goods = [each.heartbeat_path.read_bytes() for each in (*runs, run)]
    goods.append(goods[-1].replace(json.dumps(os.uname().nodename).encode(), b'"elsewhere"'))

    def use() -> None:
        look_at(run)
        answered("runs", "--runs-dir", str(run.path.parent))
        answered("runs", "--json", "--runs-dir", str(run.path.parent))

    return Kind(run.heartbeat_path, tuple(goods), damage_json_or_bytes, use)


def requests(place: Path) -> Kind:
    from charlstm.runs.launch import check_resume

    text = place / "text.txt"
    text.write_text(TEXT)
    source = corpus.open_corpus(text)
    run = record(place / "runs", "stopped", steps=20, name="r", lineage={"from": "/m.safetensors", "run": "a"}).run
    save_model(run.model_path, tiny_model(symbols=source.vocabulary.symbols, hidden_size=4))
    spec = run.spec()
    run.write_spec(replace(spec, corpus=source.to_record(), plan=plain(small_plan()), amendments=({"step": 3},)))
    goods = [run.spec_path.read_bytes()]
    run.write_spec(replace(spec, lineage=None, vocabulary=None))
    goods.append(run.spec_path.read_bytes())

    def use() -> None:
        look_at(run)
        answered("runs", "--runs-dir", str(run.path.parent))
        answered("eval", "r", "--part", "validation", "--runs-dir", str(run.path.parent))
        found = run.spec()
        tried(
            lambda: open_text(run),
            lambda: read_plan(found.plan or {}),
            lambda: check_resume(run, {}),
        )

    return Kind(run.spec_path, tuple(goods), damage_json_or_bytes, use)


def run_texts(place: Path) -> Kind:
    text = place / "text.txt"
    text.write_text(TEXT)
    run = create_new_run(NewRun(corpus.open_corpus(text), Settings(max_steps=9), runs_dir=place / "runs"))

    def use() -> None:
        assert open_text(run).text() == TEXT
        keep_text(run, open_text(run))

    return Kind(run.text_path, (run.text_path.read_bytes(),), damage_bytes, use)


def sessions(place: Path) -> Kind:
    path = place / "session.json"
    model = tiny_model(symbols=tuple(" abcdefgh\n"), hidden_size=4)
    goods = []
    for prime, length in (("abc", 100), ("", 1)):
        session = Session(model, prime, seed=3)
        list(session.stream(length))
        if length > 50:
            session.rewind(40)
            session.choose("a")
            list(session.stream(40))
            session.rewind(20)
            session.choose("b")
        save_session(session, path)
        goods.append(path.read_bytes())
    again = place / "again.json"

    def use() -> None:
        session = load_session(path, model)
        session.step()
        session.read()
        session.peek()
        session.branches()
        session.rewind(0)
        session.step()
        save_session(session, again)
        load_session(again, model)

    return Kind(path, tuple(goods), damage_json_or_bytes, use)


def session_documents(place: Path) -> Kind:
    """Sessions with a history, as the app writes them."""
    path, goods = place / "session.json", []
    for prime, length in (("abc", 60), ("", 3)):
        session = Session(SESSION_MODEL, prime, seed=3)
        list(session.stream(length))
        document = document_of(session)
        for _ in range(4):
            work_on(document)
        state = replace(state_of(session), document=document, clamps=(Clamp(1, 1, 0.1),))
        write(path, state, automatic=True)
        goods.append(path.read_bytes())
    return Kind(path, tuple(goods), damage_json_or_bytes, lambda: use_session(path))


def session_logs(place: Path) -> Kind:
    """Sessions of format 3, as version 0.3 wrote them."""
    path = place / "session.json"
    goods = tuple((DATA / "version_0_3" / f"{name}.json").read_bytes() for name in ("edited", "in-prime-closed"))
    return Kind(path, goods, damage_log, lambda: use_session(path))


def session_trees(place: Path) -> Kind:
    """Sessions of format 2, as version 0.2 wrote them."""
    path = place / "session.json"
    goods = tuple((DATA / "version_0_2" / f"{name}.json").read_bytes() for name in ("branches", "edited", "mirostat"))
    return Kind(path, goods, damage_json_or_bytes, lambda: use_session(path))


SESSION_MODEL = tiny_model(symbols=tuple(" abcdefgh\n"), hidden_size=4)
DATA = Path(__file__).parents[1] / "data"


def use_session(path: Path) -> None:
    """Do with a session file what the app does, as far as it can be read."""
    with contextlib.suppress(OSError):  # for a pipe or a device, which who lists sessions leaves out
        tried(lambda: read_summary(path))
    found = read(path)
    document, again = found.state.document, path.with_name("again.json")
    document.list_branches()
    for go_back in (document.undo, document.redo, document.undo):
        while go_back():
            document.list_branches()
    for number in list(document.branches):
        document.switch(number)
    for number in list(document.branches)[:0:-1]:
        document.prune(number)
    document.insert("abc")
    document.undo()
    document.undo()
    if len(document) > 10:
        work_on(document)
    write(again, found.state, automatic=True)
    assert read(again).text == document.text.read()


def work_on(document: Document) -> None:
    """Some changes of every kind."""
    for text in ("ab ", "c"):
        document.move(len(document) // 2)
        document.insert(text)
    document.branch_off(len(document) // 3, "h", CHOSEN, kind="choosing")
    document.go_on_generating()
    document.generate("d")
    document.rename(document.branch, NASTY)
    document.branch_off(len(document) // 3, "g", CHOSEN, kind="choosing")
    document.switch(0)
    document.prune(max(document.branches))
    document.replace(1, 3, "efg")
    document.undo()
    document.undo()
    document.redo()


def prepared(place: Path) -> tuple[Path, corpus.Corpus]:
    """A text in a cache of its own, verified and trusted by its stamps."""
    text = place / "text.txt"
    text.write_text(TEXT * 3)
    with unittest.mock.patch.object(storage, "CLOCK_GRAIN_NS", 0):
        corpus.open_corpus(text)
        return text, corpus.open_corpus(text)


def cached(place: Path, file: str, damage: Mutation) -> Kind:
    """A file of the text cache; whatever becomes of it, the text that comes out is the right one."""
    text, right = prepared(place)
    statistics.describe(right)
    folder = cache.texts_dir() / right.fingerprint
    other = tiny_model().vocabulary
    encoded, _ = right.encoded_for(other)
    expected, recoded = right.text(), np.array(encoded)
    record_ = right.to_record()
    path = next(cache.texts_dir().parent.glob(file.replace("TEXT", right.fingerprint)))
    whole = {each: each.read_bytes() for each in [*folder.iterdir(), *(cache.texts_dir().parent / "sources").iterdir()]}

    def use() -> None:
        try:
            found = corpus.open_corpus(text)
            assert found.text() == expected
            assert corpus.reopen_corpus(record_).text() == expected
            answered("stats", str(text))
            ids, _ = found.encoded_for(other)
            assert np.array_equal(ids, recoded)
            cache.entries()
        finally:
            for each, content in whole.items():  # a damaged file may have been mended or removed
                each.parent.mkdir(exist_ok=True)
                remove(each)
                each.write_bytes(content)

    return Kind(path, (path.read_bytes(),), damage, use)


def known_runs(place: Path) -> Kind:
    run = record(place / "runs", steps=5).run
    index.remember_run(run.path)
    index.remember_run(place / "gone")
    path = index.index_path()

    def use() -> None:
        list_runs(place / "runs", elsewhere=True)
        answered("runs", "--all", "--runs-dir", str(place / "runs"))
        index.remember_run(place / "new")
        index.rewrite_index(lambda paths: paths)

    return Kind(path, (path.read_bytes(),), damage_lines, use)


def remembered_settings(place: Path) -> Kind:
    from charlstm.generation.sampler_settings import SamplerSettings
    from charlstm_tui.player import preferences

    preferences.remember(
        "demo", preferences.Preferences(SamplerSettings(top_k=3, top_p=0.5), 30.0, "entropy", "Once\n")
    )
    preferences.remember("other", preferences.Preferences(speed=float("inf")))
    path = preferences.MEMORY.path

    def use() -> None:
        for name in ("demo", "other", "new"):
            memory = preferences.recall(name) or preferences.Preferences()
            SamplerSettings.from_dict(memory.settings.to_dict())
            float(memory.speed)
            preferences.remember(name, memory)

    return Kind(path, (path.read_bytes(),), damage_json_or_bytes, use)


def recent_texts(place: Path) -> Kind:
    from charlstm_tui.corpus.sources import recently_used, sections

    for name in ("a.txt", "b.txt"):
        (place / name).write_text(TEXT)
        catalogue.remember_text([str(place / name)], name, 1000)
    catalogue.remember_text(["python-reference"], "python-reference", 400_000)
    path = catalogue._path()

    def use() -> None:
        texts = catalogue.recent_texts()
        sections(place, recently_used())
        for text in texts:
            f"{text.name} {text.chars:,} {text.time:.0f}"
        catalogue.remember_text([str(place / "a.txt")], "a.txt", 7)

    return Kind(path, (path.read_bytes(),), damage_json_or_bytes, use)


def measurements(place: Path) -> Kind:
    from charlstm.training import estimate

    settings = Settings(epochs=1)
    shape = [512, 2, 128, 32, 64, "auto", "auto", None, False, True, False, False, "adamw"]
    estimate._add_to_cache({json.dumps(shape): ["fused-bf16", 0.1, 2048], "b": ["nn", 0.2, 100]})
    path = estimate._cache_path()

    def use() -> None:
        found = estimate._read_cache()
        estimate._add_to_cache(found)
        if json.dumps(shape) in found:  # else it would be measured, by torch
            measured = estimate.find_speed(settings, 83, *estimate.batch_shape(settings, 1_000_000))
            if measured is not None:
                plain(estimate.estimate(settings, 1_000_000, 83, measured))

    return Kind(path, (path.read_bytes(),), damage_json_or_bytes, use)


def notes(place: Path) -> Kind:
    run = record(place / "runs", steps=5, name="r").run
    change_notes(run, lambda now: Notes(("good", "long"), "the one with dropout"))

    def use() -> None:
        look_at(run)
        answered("runs", "--json", "--runs-dir", str(run.path.parent))
        change_notes(run, lambda now: Notes(("other",), now.note))

    return Kind(run.notes_path, (run.notes_path.read_bytes(),), damage_json_or_bytes, use)


def app_states(place: Path) -> Kind:
    from charlstm_tui import app_state

    changes: dict[str, app_state.Remembered] = {"theme": "nord", "runs_sort_reverse": True, "pane_shares": {"a": 0.5}}
    app_state._merge(changes)
    path = app_state.state_file()

    def use() -> None:
        found = app_state.load_state()
        f"{found.theme} {found.runs_sort} {found.smoothing} {found.folder}"
        sum(found.pane_shares.values())
        app_state._merge(changes)

    return Kind(path, (path.read_bytes(),), damage_json_or_bytes, use)


def configurations(place: Path) -> Kind:
    path = place / "config.toml"
    written = f'theme = "nord"\nspeed = 30\n{example_config()}\n"train.pause" = ["p"]\n'

    def use() -> None:
        _, problems = load_config(path)
        for problem in problems:
            check_sentence(problem)
        for command in ("check", "show"):
            answered("config", command, "--config", str(path))

    return Kind(path, (written.encode(),), damage_bytes, use)


def settings_files(place: Path) -> Kind:
    path = place / "settings.toml"
    written = 'preset = "quick"\nhidden_size = 64\ndropout = 0.2\n[text]\nclean = true\n'

    def use() -> None:
        load_settings(path).settings()

    return Kind(path, (written.encode(),), damage_bytes, use)


def worker_logs(place: Path) -> Kind:
    words = "— worker 12 on here —\nTraceback (most recent call last):\nRuntimeError: out of memory\n"
    run = record(place / "runs", "crashed", steps=5, name="r", last_words=words).run

    def use() -> None:
        look_at(run)
        assert "\x1b" not in run.status().message

    return Kind(run.log_path, (run.log_path.read_bytes(), (words + NASTY).encode()), damage_bytes, use)


def checkpoints(place: Path) -> Kind:
    """Checkpoints of the reference script, zip and legacy; damaged, and made to do harm."""
    import torch

    from charlstm.engine.script_format import export_checkpoint, import_checkpoint

    path = place / "foreign.net"
    model = tiny_model(symbols=tuple("abc\n"), hidden_size=4)
    export_checkpoint(path, model)
    goods = [path.read_bytes()]
    torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    goods.append(path.read_bytes())

    def damage(dice: random.Random, content: bytes) -> bytes:
        if dice.random() < 0.05:
            return dice.choice(hostile_pickles())
        return damage_zip(dice, content)

    def use() -> None:
        save_model(place / "imported.safetensors", import_checkpoint(path))

    return Kind(path, tuple(goods), damage, use)


def flipped_checkpoints(place: Path) -> Kind:
    """Zip checkpoints of the reference script with one bit flipped: refused, or the very same model."""
    from charlstm.engine.script_format import export_checkpoint, import_checkpoint

    path = place / "flipped.net"
    model = tiny_model(symbols=tuple("abc\n"), hidden_size=32)  # nearly all of the file is weights
    export_checkpoint(path, model)

    def use() -> None:
        found = import_checkpoint(path)
        assert found.vocabulary == model.vocabulary
        assert all(np.array_equal(found.weights[name], array) for name, array in model.weights.items())

    return Kind(path, (path.read_bytes(),), flip_bit, use)


KINDS: dict[str, Callable[[Path], Kind]] = {
    "model": models,
    "model: huge weights": huge_models,
    "exact state": states,
    "event log": events,
    "commands": control,
    "heartbeat": heartbeats,
    "run.json": requests,
    "text of a run": run_texts,
    "saved session": sessions,
    "document of a session": session_documents,
    "log of a session": session_logs,
    "tree of a session": session_trees,
    "cache: corpus.json": lambda place: cached(place, "texts/TEXT/corpus.json", damage_json_or_bytes),
    "cache: ids.bin": lambda place: cached(place, "texts/TEXT/ids.bin", damage_bytes),
    "cache: figures": lambda place: cached(place, "texts/TEXT/figures-*.json", damage_json_or_bytes),
    "cache: sources": lambda place: cached(place, "sources/*.json", damage_json_or_bytes),
    "index of known runs": known_runs,
    "remembered settings": remembered_settings,
    "recent texts": recent_texts,
    "measured speeds": measurements,
    "notes": notes,
    "state of the app": app_states,
    "configuration": configurations,
    "settings file": settings_files,
    "worker.log": worker_logs,
    "foreign checkpoint": checkpoints,
    "checkpoint: one bit": flipped_checkpoints,
}


# ── reading them under guard ────────────────────────────────────────────────────────────────────────────────────────


class Broken(Exception):
    """What must not happen, and is not an exception of the program's own."""


class Late(BaseException):
    """The time is up. No ``except Exception`` swallows it."""


def tried(*calls: Callable[[], Any]) -> None:
    """Each of ``calls``, which may say no in a sentence."""
    for call in calls:
        try:
            call()
        except CharLSTMError as error:
            check_sentence(str(error))


def check_sentence(sentence: str) -> None:
    if not sentence or len(sentence) > 2000 or any(char in sentence for char in "\n\r\x1b\x07\0"):
        raise Broken(f"no plain sentence: {sentence[:300]!r} ({len(sentence)} characters)")


def answered(*arguments: str, codes: Collection[int] = (0, 1, 2)) -> None:
    """The command line with these arguments: 0 with an answer, or another of ``codes`` with one sentence."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command_line(list(arguments))
    if code == 0 and "--json" in arguments:
        for line in out.getvalue().splitlines():
            json.loads(line, parse_constant=not_json)
    if code not in codes:
        raise Broken(f"charlstm {' '.join(arguments)} ended with {code}: {err.getvalue()[-500:]}")
    if code:
        check_sentence((err.getvalue() or out.getvalue()).rstrip("\n").splitlines()[-1])


def not_json(word: str) -> None:
    """What Python writes and reads as a number, and no other program does."""
    raise Broken(f"{word} in JSON")


class Guard:
    """Limits of time and memory, and an eye on what must never be done."""

    FORBIDDEN = (
        *("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn"),
        *("socket.connect", "socket.bind", "ctypes.dlopen"),
    )
    OUTSIDE = ("os.remove", "shutil.rmtree", "os.rename", "os.mkdir")
    """Forbidden outside the kind's own folder."""

    def __init__(self, place: Path) -> None:
        self._armed = False
        self._seen: list[str] = []
        self._place = str(place)
        sys.addaudithook(self._audit)
        signal.signal(signal.SIGALRM, self._late)
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        if event in self.FORBIDDEN or (event in self.OUTSIDE and self._outside(arguments)):
            self._seen.append(f"{event} {str(arguments)[:200]}")
        elif event == "exec" and getattr(arguments[0], "co_filename", "") == "<string>":
            if (caller := sys._getframe(1).f_globals.get("__name__")) not in _OF_CLASSES:
                self._seen.append(f"exec of a string in {caller}")
        elif event == "open" and isinstance(arguments[0], (str, bytes)):
            path, flags = os.fsdecode(arguments[0]), arguments[2]
            # what is relative is below the kind's folder, which is the current one, or below an open folder of a run
            path = os.path.normpath(os.path.join(self._place, path))
            if flags & (os.O_WRONLY | os.O_RDWR) and not path.startswith((self._place, "/proc/self/", os.devnull)):
                self._seen.append(f"writing {path[:200]}")

    def _outside(self, arguments: tuple[Any, ...]) -> bool:
        """Whether the first path of a change of the disk is outside the kind's folder; some are below a descriptor."""
        path = os.fsdecode(arguments[0])
        folder = next((each for each in arguments[1:] if isinstance(each, int) and each > 2), None)
        if folder is not None and not os.path.isabs(path):
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
        return not os.path.abspath(path).startswith(self._place)

    def _late(self, *_: Any) -> None:
        raise Late

    def read(self, kind: Kind) -> str:
        """``read`` or ``refused``. Raises what went wrong."""
        before = _forget_peak()
        self._seen.clear()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        self._armed = True
        try:
            kind.use()
            outcome = "read"
        except CharLSTMError as error:
            check_sentence(str(error))
            outcome = "refused"
        except Late:
            raise Broken(f"it took more than {SECONDS:.0f} s") from None
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._seen:
            raise Broken(f"it was executed: {self._seen}")
        if (taken := _peak() - before) > MEMORY:
            raise Broken(f"it took {taken >> 20} MB")
        return outcome


def _forget_peak() -> int:
    """Resident bytes now; the kernel starts a new high-water mark."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


# ── many of them ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Told:
    """What a kind's process has to say. ``broken``: case → what happened."""

    outcomes: Counter[str]
    broken: dict[int, str]
    slowest: float = 0.0


def content_of(kind: Kind, name: str, seed: int, case: int) -> bytes:
    """The damaged content of a case, the same every time."""
    dice = random.Random(f"{seed} {name} {case}")
    return kind.damage(dice, dice.choice(kind.goods))


def remove(path: Path) -> None:
    """Remove what is at ``path``, whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


Put = Callable[[Kind, int], None]
"""Puts what a case is about in the place of a kind's file."""


def try_kind(make: Callable[[Path], Kind], put: Put, cases: range, place: Path, told: Told, now: mmap.mmap) -> None:
    """All ``cases`` of a kind in this process, the number of the current one in ``now``."""
    os.chdir(place)
    for variable in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        os.environ[variable] = str(place / variable)
    np.seterr(all="ignore")
    kind = make(place)
    for content in kind.goods:  # whole files are read, and everything is imported that will be
        kind.path.write_bytes(content)
        kind.use()
    if not kind.goods:  # a folder
        kind.use()
    guard = Guard(place)
    for case in cases:
        now[:8] = struct.pack("<q", case)
        kind.path.parent.mkdir(parents=True, exist_ok=True)
        put(kind, case)
        began = time.monotonic()
        try:
            told.outcomes[guard.read(kind)] += 1
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            told.broken[case] = "".join(traceback.format_exception(error, limit=-6)).rstrip()
        told.slowest = max(told.slowest, time.monotonic() - began)
        if (place / CANARY).exists():
            (place / CANARY).unlink()
            told.broken[case] = "its content was executed"


def in_child(name: str, make: Callable[[Path], Kind], put: Put, cases: range) -> Told:
    """:func:`try_kind` in a fork; a crash of the process itself is a broken case like another, and the rest goes on."""
    told, todo = Told(Counter(), {}), cases
    now = mmap.mmap(-1, 8)
    while todo:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as answer:
            place = Path(folder).resolve()
            child = os.fork()
            if child == 0:
                part = Told(Counter(), {})
                status = 1
                try:
                    try_kind(make, put, todo, place, part, now)
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    answer.write(pickle.dumps(part))
                    answer.flush()
                    os._exit(status)
            status = os.waitpid(child, 0)[1]
            answer.seek(0)
            part = pickle.loads(content) if (content := answer.read()) else Told(Counter(), {})
            shutil.rmtree(place / "gone", ignore_errors=True)
        told.outcomes.update(part.outcomes)
        told.broken |= part.broken
        told.slowest = max(told.slowest, part.slowest)
        if not status:
            break
        if not os.WIFSIGNALED(status):
            raise SystemExit(f"the kind {name} could not be tried")
        crashed = struct.unpack("<q", now[:8])[0]
        told.broken[crashed] = f"the process died of signal {os.WTERMSIG(status)}"
        todo = range(crashed + 1, cases.stop)
    return told


def rows(each: int, seed: int, only: list[str], first: int = 0) -> Iterator[tuple[str, Told]]:
    for name in only or KINDS:

        def put(kind: Kind, case: int, name: str = name) -> None:
            kind.path.write_bytes(content_of(kind, name, seed, case))

        yield name, in_child(name, KINDS[name], put, range(first, first + each))


def import_all() -> None:
    """What the kinds are read with, once: the forks share it."""
    for module in (
        *("charlstm.engine.script_format", "charlstm.engine.trainer", "charlstm_tui.train.run_summary"),
        *("charlstm_tui.runs.details", "charlstm_tui.runs.table"),
    ):
        importlib.import_module(module)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=1200, help="files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], choices=list(KINDS))
    parser.add_argument("--replay", type=int, help="read this case alone")
    asked = parser.parse_args()
    first, each = (0, asked.each) if asked.replay is None else (asked.replay, 1)
    began = time.monotonic()
    import_all()
    lost = total = 0
    print(f"{'damaged files':<24}{'tried':>7}{'read':>7}{'refused':>9}{'slowest':>10}{'lost':>6}")
    for name, told in rows(each, asked.seed, asked.only, first):
        counts, broken = told.outcomes, told.broken
        total += each
        lost += len(broken)
        print(
            f"{name:<24}{each:>7}{counts['read']:>7}{counts['refused']:>9}{told.slowest:>8.1f} s{len(broken):>6}",
            flush=True,
        )
        for case, what in list(broken.items())[:20]:
            print(
                f"  --only '{name}' --seed {asked.seed} --replay {case}\n    " + what.replace("\n", "\n    "),
                file=sys.stderr,
            )
    print(f"{total} files in {time.monotonic() - began:.0f} s, {lost} lost")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
