"""Whatever is in the place of a file that the program reads, it is read or refused in a sentence: within a bounded time
and memory, and nothing of it is executed."""

import contextlib
import json
import math
import os
import random
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mutations
import numpy as np
import pytest

from bounded import MB, bounded, check_sentence
from charlstm import storage
from charlstm.config import example_config, load_config
from charlstm.errors import CharLSTMError
from charlstm.fields import plain
from charlstm.generation.clamp import Clamp
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.session_file import read, read_summary, write
from charlstm.model.file import load_model, read_info, save_model
from charlstm.runs import index
from charlstm.runs.control import ControlReader
from charlstm.runs.folder import RunFolder, list_runs
from charlstm.runs.launch import NewRun, check_resume, create_new_run
from charlstm.runs.log import read_events
from charlstm.runs.notes import Notes, change_notes, read_notes
from charlstm.runs.series import RunSeries
from charlstm.runs.store import load_state
from charlstm.runs.text import open_text
from charlstm.runs.verdict import judge
from charlstm.text import cache, corpus, statistics
from charlstm.training import estimate
from charlstm.training.plan import MeasuredSpeed, read_plan
from charlstm.training.settings import Settings
from charlstm.user_files import save
from played_documents import load_session, save_session, state_of_session, text_of, work_on
from recorded_run import NASTY, record, tiny_model
from small_training import MemoryStore, make_plan

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and makes devices and pipes"),
    pytest.mark.filterwarnings("ignore:Duplicate name"),  # of a zip archive that is damaged so
]
CASES = 24
"""So many times --times."""
SECONDS = 10.0
MEMORY = 300 * MB
TEXT = "".join(f"{n} green bottles hanging on the wall, and if one falls — é\n" for n in range(80))
MODEL = tiny_model(symbols=tuple(" abcdefgh\n"), hidden_size=4)
PLAN = make_plan(batch_size=2, seq_length=8, steps_per_epoch=4, planned_steps=6, warmup_steps=2, val_every=3,
                 snapshot_steps=(0,), val_chars=64)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of file: ``path`` is what gets damaged, ``goods`` are whole contents of it, ``use`` reads it."""

    path: Path
    goods: tuple[bytes, ...]
    damage: mutations.Mutation
    use: Callable[[], Any]


KINDS: dict[str, Callable[[Path], Kind]] = {}


def kind(make: Callable[[Path], Kind]) -> Callable[[Path], Kind]:
    KINDS[make.__name__] = make
    return make


def tried(*calls: Callable[[], Any]) -> None:
    """Each of ``calls``, which may be refused in a sentence."""
    for call in calls:
        try:
            call()
        except CharLSTMError as error:
            check_sentence(str(error))


# ── models, states and runs ─────────────────────────────────────────────────────────────────────────────────────────


@kind
def model(place: Path) -> Kind:
    """What is generated has finite figures, or one sentence says why not."""
    path, goods = place / "model.safetensors", []
    for seed, symbols in enumerate(("ab\n", " abcdefgh\n\u200b\U0001f600", "x")):
        save_model(path, tiny_model(seed=seed, symbols=tuple(symbols), hidden_size=4, run="r", step=7, val_loss=1.5))
        goods.append(path.read_bytes())

    def use() -> None:
        tried(lambda: read_info(path))
        for settings in (SamplerSettings(), SamplerSettings(temperature=1e-9, repetition=2.0)):
            for step in Session(load_model(path), "ab", settings=settings).stream(5):
                assert 0 <= step.probability <= 1
                assert math.isfinite(step.entropy)

    return Kind(path, tuple(goods), mutations.damage_tensors, use)


@kind
def exact_state(place: Path) -> Kind:
    from charlstm.engine.trainer import Trainer
    from charlstm.training.state import save_state

    run, source, kept = record(place / "runs", steps=10).run, corpus.open_corpus(text=TEXT), MemoryStore()
    settings = Settings(hidden_size=4, num_layers=1, batch_size=2, seq_length=8, max_steps=6, threads=1, kernel="nn",
                        device="cpu", checkpoint_steps=3, val_every=3, ema_decay=0.9)  # fmt: skip
    list(Trainer(source, settings, store=kept, plan=PLAN).events())
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
        with contextlib.closing(Trainer.resume(source, settings, state).events()) as events:
            for _ in zip(range(4), events, strict=False):
                pass

    return Kind(run.state_path, tuple(goods), mutations.damage_tensors, use)


def look_at(run: RunFolder) -> None:
    """Status, log, request and verdict of a run."""
    status = run.status()
    assert "\x1b" not in status.message
    series = RunSeries()
    tried(run.spec, lambda: series.feed(read_events(run.events_path)), lambda: read_notes(run))
    judge(series, status, references={"order 0": 3.0})
    for line in ("train", "validation", "lr", "grad_norm", "speed"):
        series.curve(line, "seconds", smoothing=0.6)
    list_runs(run.path.parent)
    (series.seconds_left(), series.progress(), series.chars_per_second, series.best_val)


@kind
def event_log(place: Path) -> Kind:
    goods = [
        record(place / "made", state, steps=60, planned=100, sample=NASTY).run.events_path.read_bytes()
        for state in ("finished", "failed", "stopped")
    ]
    run = record(place / "runs", "finished", steps=10, name="r").run
    run.heartbeat_path.unlink()  # so that the status, too, is read from the log
    return Kind(run.events_path, tuple(goods), mutations.damage_lines, lambda: look_at(run))


@kind
def commands(place: Path) -> Kind:
    path, words = place / "control.jsonl", ("pause", "resume", "set-lr", "checkpoint", "finish", "stop")
    lines = [
        {"id": f"{n:08x}", "time": 1e9 + n, "command": word, "value": 1e-3 if word == "set-lr" else None}
        for n, word in enumerate(words)
    ]

    def use() -> None:
        reader = ControlReader(path)
        for command in (*reader.read(), *reader.read(), *ControlReader(path, 17).read()):
            assert command.value is None or 0 < command.value <= 1000

    return Kind(path, ("".join(json.dumps(line) + "\n" for line in lines).encode(),), mutations.damage_lines, use)


@kind
def heartbeat(place: Path) -> Kind:
    runs = [record(place / "made", state, steps=20).run for state in ("finished", "crashed", "failed")]
    run = record(place / "runs", "crashed", steps=20, name="r").run
    goods = [each.heartbeat_path.read_bytes() for each in (*runs, run)]
    goods.append(goods[-1].replace(json.dumps(os.uname().nodename).encode(), b'"elsewhere"'))
    return Kind(run.heartbeat_path, tuple(goods), mutations.damage_json_or_bytes, lambda: look_at(run))


@kind
def run_json(place: Path) -> Kind:
    source = corpus.open_corpus(text=TEXT)
    run = record(place / "runs", "stopped", steps=20, name="r", lineage={"from": "/m.safetensors", "run": "a"}).run
    spec = run.spec()
    run.write_spec(replace(spec, corpus=source.to_record(), plan=plain(PLAN)))
    goods = [run.spec_path.read_bytes()]
    run.write_spec(replace(spec, lineage=None))
    goods.append(run.spec_path.read_bytes())

    def use() -> None:
        look_at(run)
        tried(lambda: open_text(run), lambda: read_plan(run.spec().plan or {}), lambda: check_resume(run, {}))

    return Kind(run.spec_path, tuple(goods), mutations.damage_json_or_bytes, use)


@kind
def text_of_a_run(place: Path) -> Kind:
    source = corpus.open_corpus(text=TEXT)
    run = create_new_run(NewRun(source, Settings(max_steps=9), runs_dir=place / "runs"))

    def use() -> None:
        assert open_text(run).text() == TEXT

    return Kind(run.text_path, (run.text_path.read_bytes(),), mutations.damage_bytes, use)


@kind
def worker_log(place: Path) -> Kind:
    words = "— worker 12 on here —\nTraceback (most recent call last):\nRuntimeError: out of memory\n"
    run = record(place / "runs", "crashed", steps=5, name="r", last_words=words).run
    goods = (run.log_path.read_bytes(), (words + NASTY).encode())
    return Kind(run.log_path, goods, mutations.damage_bytes, lambda: look_at(run))


@kind
def notes(place: Path) -> Kind:
    run = record(place / "runs", steps=5, name="r").run
    change_notes(run, lambda now: Notes(("good", "long"), "the one with dropout"))

    def use() -> None:
        look_at(run)
        change_notes(run, lambda now: Notes(("other",), now.note))

    return Kind(run.notes_path, (run.notes_path.read_bytes(),), mutations.damage_json_or_bytes, use)


@kind
def known_runs(place: Path) -> Kind:
    run = record(place / "runs", steps=5).run
    index.remember_run(run.path)
    index.remember_run(place / "gone")
    path = index.index_path()

    def use() -> None:
        list_runs(place / "runs", elsewhere=True)
        index.remember_run(place / "new")
        index.rewrite_index(lambda paths: paths)

    return Kind(path, (path.read_bytes(),), mutations.damage_lines, use)


# ── sessions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def use_session(path: Path) -> None:
    """Do with a session file what the app does, as far as it can be read."""
    with contextlib.suppress(OSError):  # of a pipe or a device, which a list of sessions leaves out
        tried(lambda: read_summary(path))
    found = read(path)
    document, again = found.state.document, path.with_name("again.json")
    assert not (found.note and document.undoable)
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
    work_on(document, 10)
    write(again, found.state, automatic=True)
    assert text_of(again) == document.text.read()
    session = load_session(path, MODEL)
    session.step()
    session.rewind(0)
    save_session(session, again)
    load_session(again, MODEL)


@kind
def session(place: Path) -> Kind:
    """Without a history, and with one."""
    path, goods = place / "session.json", []
    for prime, length in (("abc", 60), ("", 3)):
        made = Session(MODEL, prime, seed=3)
        list(made.stream(length))
        save_session(made, path)
        goods.append(path.read_bytes())
        document = work_on(made.document.copy(), 40)
        document.rename(document.branch, NASTY)
        write(path, replace(state_of_session(made), document=document, clamps=(Clamp(1, 1, 0.1),)), automatic=True)
        goods.append(path.read_bytes())
    return Kind(path, tuple(goods), mutations.damage_session, lambda: use_session(path))


# ── texts and what is remembered ────────────────────────────────────────────────────────────────────────────────────


def cached(place: Path, pattern: str, damage: mutations.Mutation) -> Kind:
    """A file of the text cache: whatever becomes of it, the text that comes out is the right one."""
    text = place / "text.txt"
    text.write_text(TEXT * 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "CLOCK_GRAIN_NS", 0)  # stamps count at once
        corpus.open_corpus(text)
        right = corpus.open_corpus(text)
    statistics.describe(right)
    other, expected, record_ = tiny_model().vocabulary, right.text(), right.to_record()
    recoded = np.array(right.encoded_for(other)[0])
    top = cache.texts_dir().parent
    path = next(top.glob(pattern.replace("TEXT", right.fingerprint)))
    whole = {each: each.read_bytes() for each in [*path.parent.iterdir(), *(top / "sources").iterdir()]}

    def use() -> None:
        try:
            found = corpus.open_corpus(text)
            assert found.text() == expected
            assert corpus.reopen_corpus(record_).text() == expected
            assert np.array_equal(found.encoded_for(other)[0], recoded)
            statistics.describe(found)
            cache.entries()
        finally:
            for each, content in whole.items():  # a damaged file may have been written anew or removed
                each.parent.mkdir(exist_ok=True)
                remove(each)
                each.write_bytes(content)

    return Kind(path, (path.read_bytes(),), damage, use)


KINDS |= {
    "cache: corpus.json": lambda place: cached(place, "texts/TEXT/corpus.json", mutations.damage_json_or_bytes),
    "cache: ids.bin": lambda place: cached(place, "texts/TEXT/ids.bin", mutations.damage_bytes),
    "cache: figures": lambda place: cached(place, "texts/TEXT/figures-*.json", mutations.damage_json_or_bytes),
    "cache: sources": lambda place: cached(place, "sources/*.json", mutations.damage_json_or_bytes),
}


@kind
def measured_speeds(place: Path) -> Kind:
    settings = Settings(epochs=1)
    rows, length = estimate.batch_shape(settings, 1_000_000)
    estimate.store_speed(settings, 83, rows, length, MeasuredSpeed("fused-bf16", 0.1, 2048))
    path = estimate._cache_path()

    def use() -> None:
        found = estimate._read_cache()
        estimate._add_to_cache(found)
        if found and (measured := estimate.find_speed(settings, 83, rows, length)) is not None:
            plain(estimate.estimate(settings, 1_000_000, 83, measured))

    return Kind(path, (path.read_bytes(),), mutations.damage_json_or_bytes, use)


@kind
def state_of_the_app(place: Path) -> Kind:
    from charlstm_tui import app_state
    from charlstm_tui.player.preferences import Preferences

    def use() -> None:
        found = app_state.load_state()
        f"{found.theme} {found.runs_sort} {found.smoothing} {found.folder}"
        Preferences.from_dict(Preferences.from_dict(found.preferences).to_dict())

    preferences = Preferences(SamplerSettings(top_k=3, top_p=0.5), 30.0, "entropy", 20, "Once\n", "demo")
    content = {"theme": "nord", "runs_sort_reverse": True, "preferences": preferences.to_dict()}
    return Kind(app_state.state_file(), (json.dumps(content).encode(),), mutations.damage_json_or_bytes, use)


@kind
def configuration(place: Path) -> Kind:
    path = place / "config.toml"

    def use() -> None:
        for problem in load_config(path)[1]:
            check_sentence(problem)

    content = f'theme = "nord"\nspeed = 30\n{example_config()}\n"train.pause" = ["p"]\n'
    return Kind(path, (content.encode(),), mutations.damage_bytes, use)


# ── checkpoints of other programs ───────────────────────────────────────────────────────────────────────────────────


@kind
def foreign_checkpoint(place: Path) -> Kind:
    """A checkpoint of the reference script, zip and legacy; damaged, and made to do harm."""
    import torch

    from charlstm.engine.script_format import checkpoint_writer, import_checkpoint

    path = place / "foreign.net"
    save(path, checkpoint_writer(tiny_model(symbols=tuple("abc\n"), hidden_size=4)))
    goods = [path.read_bytes()]
    torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    goods.append(path.read_bytes())

    def damage(dice: random.Random, content: bytes) -> bytes:
        return dice.choice(mutations.HOSTILE_PICKLES) if dice.random() < 0.05 else mutations.damage_zip(dice, content)

    def use() -> None:
        save_model(place / "imported.safetensors", import_checkpoint(path))

    return Kind(path, tuple(goods), damage, use)


@kind
def foreign_checkpoint_with_a_flipped_bit(place: Path) -> Kind:
    """Refused, or the very same model."""
    from charlstm.engine.script_format import checkpoint_writer, import_checkpoint

    path, right = place / "flipped.net", tiny_model(symbols=tuple("abc\n"), hidden_size=32)  # nearly all are weights
    save(path, checkpoint_writer(right))

    def use() -> None:
        found = import_checkpoint(path)
        assert found.vocabulary == right.vocabulary
        assert all(np.array_equal(found.weights[name], array) for name, array in right.weights.items())

    return Kind(path, (path.read_bytes(),), mutations.flip_bit, use)


# ── reading them under guard ────────────────────────────────────────────────────────────────────────────────────────


def bind(path: Path) -> None:
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as end:  # a socket's name is short
        end.bind(path.name)


TARGET = "what-a-link-leads-to"
SPECIALS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": lambda path: (path.mkdir(), (path / "file").write_text("x")),
    "socket": bind,
    "link to a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "link to nothing": lambda path: path.symlink_to("nothing-there"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a file": lambda path: path.symlink_to(TARGET),
    "nothing": lambda path: None,
}


def remove(path: Path) -> None:
    """Remove what is at ``path``, whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


FORBIDDEN = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn", "socket.connect"}
executed: list[str] | None = None
"""What was executed while a file is read; None at other times, for an audit hook cannot be removed."""


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    if executed is not None and event in FORBIDDEN:
        executed.append(f"{event} {arguments!r}"[:200])


@pytest.fixture(scope="module", autouse=True)
def _audited() -> None:
    sys.addaudithook(audit)


def guarded(case: str, use: Callable[[], Any]) -> None:
    """Nothing is executed meanwhile, and the only exception is a sentence."""
    global executed
    executed = []
    try:
        with bounded(SECONDS, MEMORY), np.errstate(all="ignore"):
            tried(use)
        assert not executed
        assert not Path(mutations.CANARY).exists(), "its content was executed"
    except BaseException as error:
        error.add_note(case)
        raise
    finally:
        executed = None


@pytest.mark.parametrize("name", KINDS)
def test_damaged_file_is_read_or_refused_in_a_sentence(
    name: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = KINDS[name](tmp_path)
    kind.path.parent.mkdir(parents=True, exist_ok=True)
    for content in kind.goods:  # whole files are read, and everything is imported that will be
        kind.path.write_bytes(content)
        kind.use()
    for special, make in SPECIALS.items():
        target = kind.path.with_name(TARGET)
        remove(kind.path)
        target.write_bytes(kind.goods[0])
        make(kind.path)
        guarded(special, kind.use)
        assert not target.exists() or target.read_bytes() == kind.goods[0], f"a {special}: what it leads to was changed"
        remove(target)
    for number in range(CASES * times):
        dice = random.Random(f"{name} {number}")
        content = kind.damage(dice, dice.choice(kind.goods))
        remove(kind.path)
        kind.path.write_bytes(content)
        guarded(f"case {number}", kind.use)
