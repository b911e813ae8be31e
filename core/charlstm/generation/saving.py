"""Save, load and export sessions.

A session file is JSON: the text of each branch, with the statistics of its characters packed beside it. Everything in a
file is checked before it is used. Hidden states are saved too, so that a loaded session continues at once and exactly;
they are used only with the same weights.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import hashlib
import json
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import numpy as np
import numpy.typing as npt

from charlstm import storage, user_files
from charlstm.arguments import whole_number
from charlstm.display import as_html
from charlstm.errors import GenerationError
from charlstm.generation import session_log
from charlstm.generation.clamp import check_clamps, parse_clamp
from charlstm.generation.prime import Prime
from charlstm.generation.recipe import Recipe
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.session_document import session_of
from charlstm.generation.session_log import SessionState
from charlstm.generation.session_log import SessionSummary as SessionSummary
from charlstm.generation.stepper import Stepper
from charlstm.generation.tree import CHOSEN, GENERATED, STATE_INTERVAL, Branch, Pending, Rows, in_bits
from charlstm.memory import machine_memory

if TYPE_CHECKING:
    from charlstm.model.file import Model


FORMAT = 2
"""Format 1, of version 0.1, has mirostat's limit (``mu``) in the statistics of every character. It can be read."""

READING_MEMORY = 4
"""Bytes of memory that reading takes for each byte of a file: the bytes, their text, and what it says."""

MAX_BYTES = 2**36
"""A larger file is refused before it is read, and none is written."""

MAX_STATES = 256
"""Most hidden states that are saved, spread over the text; a loaded session computes the others from them."""

BEGINNING = 80
"""Characters of the text that a summary has."""

_HEAD = re.compile(r'{"format": \d+, "kind": "charlstm session", "summary": ')
_HEAD_BYTES = 4096
"""Bytes at the beginning of a file that hold its summary, unless the path in it is very long."""


def save_session(session: Session, path: str | Path) -> None:
    """Save all branches of a session: create or replace the file ``path``, atomically.

    Raises :class:`CharLSTMError` if ``path`` is not a regular file, :class:`OSError` if it cannot be written.
    """
    user_files.save_bytes(path, to_bytes(session))


def to_bytes(session: Session) -> bytes:
    """The content of a session file. Raises :class:`OSError` for more than :data:`MAX_BYTES`."""
    made = json.dumps(to_dict(session), ensure_ascii=True).encode("ascii")
    if len(made) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it would be longer than the {MAX_BYTES:,} bytes that can be read again")
    return made


def summary(session: Session) -> SessionSummary:
    """The summary of a session."""
    begins = session.prime[:BEGINNING]
    begins += session.read(0, min(len(session), BEGINNING - len(begins)))
    length = len(session)
    edited = len(session.tree) > 1 or bool((session.root.slice(0, session.root.stop)["source"] != GENERATED).any())
    step = session.model.info.get("step")
    return SessionSummary(
        length,
        begins,
        edited,
        model=_text_or_none(session.model.info.get("run")) or "",
        size=len(session.prime) + length,
        step=step if type(step) is int else -1,
    )


def read_summary(path: Path, most: int = MAX_BYTES) -> SessionSummary:
    """The summary of the session file ``path``. One without, as those of version 0.1, is read as a whole unless it is
    longer than ``most`` bytes.

    Raises :class:`GenerationError` for what is no session file, :class:`OSError`.
    """
    try:
        with storage.open_file(path) as file:
            if session_log.is_log(cast(BinaryIO, file)):
                return session_log.read_summary(cast(BinaryIO, file))
            head = file.read(_HEAD_BYTES).decode("ascii", "replace")
        if (found := _HEAD.match(head)) is not None:
            with contextlib.suppress(json.JSONDecodeError):  # it is longer
                return SessionSummary.from_dict(json.JSONDecoder().raw_decode(head, found.end())[0])
        values = storage.read_json(path, most=most)
        if "summary" in values:
            return SessionSummary.from_dict(values["summary"])
        text, cursor = str(values["branches"][0]["text"]), values["cursor"]
        length = int(cursor.get("length", len(text)))
        prime = str(values["prime"])
        return SessionSummary(length, f"{prime}{text}"[:BEGINNING], length > 0, size=len(prime) + length)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise GenerationError(f"{path} is not a saved session: {error}") from None


def load_session(path: str | Path, model: Model, *, stepper: Stepper | None = None) -> Session:
    """Load a session that :func:`save_session` wrote, to be continued by ``model``.

    Raises :class:`GenerationError` if the file is missing, damaged, of a newer format or of a model with other
    characters.
    """
    path = Path(path)
    with reading(path):
        with storage.open_file(path) as file:
            is_log = session_log.is_log(cast(BinaryIO, file))
        if not is_log:
            values = storage.read_json(path, most=MAX_BYTES)
    if not is_log:
        return from_dict(values, model, stepper=stepper, name=str(path))
    with reading(path):
        state = session_log.read(path).state
    check_log(state, path, model)
    stepper = stepper or Stepper(model)
    return session_of(state, model, stepper, known=read_cache(state, model, stepper))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in one sentence why the session file ``path`` cannot be read. Raises :class:`GenerationError`."""
    try:
        size, memory = os.stat(path).st_size, machine_memory()
        if memory is not None and READING_MEMORY * size > memory.total:  # the kernel would end the process
            raise ValueError(f"it has {size:,} bytes, and this machine has not enough memory to read so much")
        yield
    except MemoryError:
        raise GenerationError(f"The session file {path} cannot be read: there is not enough memory for it") from None
    except storage.NotAFileError as error:
        raise GenerationError(f"{path} is a {error.kind}, not a file: name a session file") from None
    except FileNotFoundError:
        raise GenerationError(f"There is no session file {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise GenerationError(f"The session file {path} cannot be read: it is damaged, or no session") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GenerationError(f"The session file {path} cannot be read: {reason}") from None


def check_log(state: SessionState, path: Path, model: Model) -> None:
    """Raise :class:`GenerationError` unless ``model`` has the characters and the cells of a session."""
    if state.symbols != tuple(model.vocabulary.symbols):
        raise other_characters(state.summary.model or state.run, path)
    try:
        check_clamps(state.clamps, model.config.num_layers, model.config.hidden_size)
    except GenerationError as error:
        raise GenerationError(f"{path} is damaged: {error}") from None


def read_cache(state: SessionState, model: Model, stepper: Stepper) -> Session | None:
    """What the model had read of a session when it was saved. None where nothing was saved, or it is damaged or of
    other weights."""
    if state.cache is None:
        return None
    with contextlib.suppress(GenerationError):
        values = state.cache()
        session = from_dict(values, model, stepper=stepper)
        if values["model"]["weights"] == session.weights_digest:
            return session
    return None


def to_dict(session: Session) -> dict[str, Any]:
    """The whole tree, JSON-ready; the inverse of :func:`from_dict`."""
    return _packed(_copied(session))


def weights_digest(session: Session) -> str:
    """SHA-256 of the weights of a session's model; of some hundred megabytes it takes a second, once."""
    if session.weights_digest is None:
        session.weights_digest = model_digest(session.model)
    return session.weights_digest


def copy_tree(session: Session) -> Callable[[], dict[str, Any]]:
    """Copy the whole tree. The result makes of it, in any thread, what :func:`to_dict` returns.

    Of 20,000 characters and a network of 2×512 the copy takes 4 ms and the rest, most of it compression, 90 ms.
    """
    values = _copied(session)
    return lambda: _packed(values)


def _packed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copied session with its arrays compressed, JSON-ready."""
    branches = [
        {name: _pack(value) if isinstance(value, bytes) else value for name, value in branch.items()}
        for branch in values["branches"]
    ]
    return {**values, "branches": branches}


def _copied(session: Session) -> dict[str, Any]:
    """The whole tree, with its arrays as bytes."""
    numbers = {id(branch): number for number, branch in session.tree.items()}
    interval = _interval(session)
    branches = []
    for branch in session.root.descendants():
        rows = branch.slice(branch.start, branch.stop)
        figures = rows[list(_figures_type(rows.dtype).names or ())]
        states = {at: state for at, state in sorted(branch.states.items()) if at % interval == 0}
        branches.append(
            {
                "number": numbers[id(branch)],
                "parent": None if branch.parent is None else numbers[id(branch.parent)],
                "start": branch.start,
                "name": branch.name,
                "text": session.model.vocabulary.decode(rows["id"]),
                "figures": figures.astype(_figures_type(rows.dtype)).tobytes(),
                "seeds": _seeds(rows, session.seeds),
                "mirostat": _limits(branch),
                "states_at": list(states),
                "states": b"".join(state.astype("<f4").tobytes() for state in states.values()),
            }
        )
    return {
        "format": FORMAT,
        "kind": "charlstm session",
        "summary": asdict(summary(session)),  # at the beginning, where it can be read without the rest
        "model": {"weights": weights_digest(session), "run": _text_or_none(session.model.info.get("run"))},
        "symbols": list(session.model.vocabulary.symbols),
        "prime": session.prime,
        "prime_ids": session.prime_ids.tolist(),
        "unknown": dict(session.unknown),
        "seed": session.seed,
        "sample": session.sample,
        "settings": session.settings.to_dict(),
        "clamps": [clamp.exact() for clamp in session.clamps],
        "cursor": {"branch": numbers[id(session.tip)], "position": session.position, "length": len(session)},
        "branches": branches,
    }


def from_dict(values: Any, model: Model, *, stepper: Stepper | None = None, name: str = "The session") -> Session:
    """The inverse of :func:`to_dict`. Raises :class:`GenerationError` for values that are not a session; ``name`` is
    what its message calls them."""
    check_kind(values, name)
    if values.get("symbols") != list(model.vocabulary.symbols):
        raise other_characters(model_of(values), name)
    try:
        return _restore(values, model, stepper or Stepper(model))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, zlib.error, binascii.Error) as error:
        raise GenerationError(f"{name} is damaged: {str(error)[:200] or type(error).__name__}") from None


def check_kind(values: Any, name: str) -> None:
    """Raise :class:`GenerationError` unless ``values`` are those of a session of format 1 or 2, which is called
    ``name``."""
    if not isinstance(values, dict) or values.get("kind") != "charlstm session":
        raise GenerationError(f"{name} is not a saved session")
    if type(values.get("format")) is not int or values["format"] > FORMAT:
        raise GenerationError(f"{name} was written by a newer charlstm; update charlstm to read it")


def model_of(values: Mapping[str, Any]) -> str:
    """The model that wrote a session of format 1 or 2, as far as its values say it."""
    for part, name in (("summary", "model"), ("model", "run")):
        about = values.get(part)
        if isinstance(about, dict) and isinstance(found := about.get(name), str) and found:
            return found
    return ""


def other_characters(model: str, name: str | Path) -> GenerationError:
    """The error for a session that was written with ``model`` and is opened with one of other characters. The reason
    comes first: paths are long."""
    with_it = f"the model {model}: open it with that one" if model else "another model: open it with that one"
    return GenerationError(f"This model has other characters. The session was written with {with_it}. File: {name}")


def _restore(values: Mapping[str, Any], model: Model, stepper: Stepper) -> Session:
    pending = Pending(len(model.vocabulary))
    digest = model_digest(model)
    same_weights = values["model"]["weights"] == digest
    tree: dict[int, Branch] = {}
    seeds = [whole_number(values["seed"], -(2**63), 2**64 - 1)]
    for number, saved in enumerate(values["branches"]):
        branch = _branch(saved, tree, model, pending, seeds, with_mu=values["format"] < 2)
        if same_weights:
            branch.states = _states(saved, branch, stepper)
        if whole_number(saved["number"], 0, 2**31) in tree or (number == 0) != (branch.parent is None):
            raise ValueError("its branches do not form a tree")
        tree[saved["number"]] = branch
        if branch.parent is not None:
            branch.parent.children.append(branch)
    cursor = values["cursor"]
    tip = tree[cursor["branch"]]
    length = whole_number(cursor.get("length", tip.stop), min(tip.stop, tip.start + 1) if tip.parent else 0, tip.stop)
    ids = np.asarray(values["prime_ids"], np.intp)
    if ids.ndim != 1 or not len(ids) or ids.min() < 0 or ids.max() >= len(model.vocabulary):
        raise ValueError("its prime is invalid")
    unknown = {str(char)[:1]: whole_number(count, 0, 2**62) for char, count in dict(values["unknown"]).items()}
    if values["prime"] not in ("", model.vocabulary.decode(ids)):
        raise ValueError("its prime is invalid")
    session = Session.restored(
        model,
        Prime(values["prime"], ids, unknown),
        Recipe(
            seeds[0],
            whole_number(values["sample"], 0, 2**62),
            SamplerSettings.from_dict(values["settings"]),
            [parse_clamp(str(clamp)) for clamp in list(values.get("clamps", []))],
        ),
        stepper=stepper,
        tree=tree,
        tip=tip,
        position=whole_number(cursor["position"], 0, length),
        length=length,
    )
    session.weights_digest = digest
    session.seeds = seeds
    if (rest := values.get("rest")) is not None:
        _read_rest(session, str(rest["text"]), list(rest["sources"]), rest.get("seeds"))
    return session


def _read_rest(session: Session, text: str, sources: list[Any], seeds: Any) -> None:
    """Let the model read what followed the text when it was saved; the cursor stays."""
    ids, unknown = session.model.vocabulary.encode(text)
    if len(ids) != len(sources) or unknown:
        raise ValueError("its text and its sources disagree")
    rows = np.zeros(len(ids), session.root.rows.dtype)
    rows["id"], rows["source"] = ids, [whole_number(source, 0, CHOSEN) for source in sources]
    _read_seeds(rows, seeds, session.seeds)
    position = session.position
    session.rewind(len(session))
    session.put_back(rows)
    session.rewind(position)


def _branch(
    saved: Mapping[str, Any],
    tree: Mapping[int, Branch],
    model: Model,
    pending: Pending,
    seeds: list[int],
    *,
    with_mu: bool,
) -> Branch:
    """A saved branch without its hidden states; its seeds are added to ``seeds``. ``with_mu``: its statistics are those
    of format 1."""
    parent = None if saved["parent"] is None else tree[saved["parent"]]
    lowest, highest = (0, 0) if parent is None else (parent.start, parent.stop)
    symbols = tuple(model.vocabulary.symbols)
    branch = Branch(parent, whole_number(saved["start"], lowest, highest), symbols, pending, str(saved["name"])[:200])
    text, dtype = str(saved["text"]), branch.rows.dtype
    stored = _with_mu(_figures_type(dtype)) if with_mu else _figures_type(dtype)
    figures = np.frombuffer(_unpack(saved["figures"], len(text) * stored.itemsize), stored)
    rows = np.empty(len(text), dtype)
    for field in _figures_type(dtype).names or ():
        rows[field] = figures[field]
    _read_seeds(rows, saved.get("seeds"), seeds)
    limits: npt.NDArray[np.float32] | None = None
    if with_mu:
        limits = figures["mu"]
    elif saved["mirostat"] is not None:
        limits = np.frombuffer(_unpack(saved["mirostat"], 4 * len(text)), "<f4")
    if any(len(rows) and rows[field].max() >= len(symbols) for field in ("id", "ids")):
        raise ValueError("it names characters that the model does not have")
    if model.vocabulary.decode(rows["id"]) != text:
        raise ValueError("its text and its statistics disagree")
    for field in ("probability", "probabilities", "sampled"):
        if not ((rows[field] >= 0) & (rows[field] <= 1.0001)).all():
            raise ValueError("it holds probabilities that are not from 0 to 1")
    valid = (rows["entropy"] >= 0) & (rows["entropy"] < 64) & (rows["rank"] > 0) & (rows["rank"] <= len(symbols))
    if not valid.all() or (len(rows) and rows["source"].max() > CHOSEN):
        raise ValueError("it holds statistics that are impossible")
    branch.fill(rows)
    if limits is not None and not np.isnan(limits).all():
        if np.isinf(limits).any():
            raise ValueError("it holds statistics that are impossible")
        branch.mirostat.extend(limits.tolist())
    return branch


def _figures_type(dtype: np.dtype[np.void]) -> np.dtype[np.void]:
    """The array type of the statistics in a file: seeds stand beside them."""
    return np.dtype([(name, dtype[name]) for name in dtype.names or () if name != "seed"]).newbyteorder("<")


def _seeds(rows: Rows, seeds: Sequence[int]) -> list[list[int]]:
    """With which of ``seeds`` characters were drawn: for each place where it is another, its number and the seed."""
    numbers = rows["seed"]
    begins = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
    return [[at, seeds[numbers[at]]] for at in (0, *begins.tolist()) if at < len(rows)]


def _read_seeds(rows: Rows, saved: Any, seeds: list[int]) -> None:
    """Set the seeds of ``rows`` as :func:`_seeds` gave them. Files of 0.1 and 0.2 have the last one, ``seeds[0]``."""
    numbers, places = {seed: number for number, seed in enumerate(seeds)}, [(0, 0)]
    for at, seed in [] if saved is None else saved:
        number = numbers.setdefault(whole_number(seed, -(2**63), 2**64 - 1), len(numbers))
        places.append((whole_number(at, places[-1][0], len(rows)), number))
    seeds[:] = numbers
    for (begin, number), (end, _) in pairwise([*places, (len(rows), 0)]):
        rows["seed"][begin:end] = number


def _with_mu(dtype: np.dtype[np.void]) -> np.dtype[np.void]:
    """The array type of the statistics in a file of format 1."""
    fields = [(name, dtype[name]) for name in dtype.names or ()]
    fields.insert(4, ("mu", np.dtype(np.float32)))
    return np.dtype(fields).newbyteorder("<")


def _limits(branch: Branch) -> bytes | None:
    """Mirostat's limit after each character, not-a-number where it was off; None where it always was."""
    if not branch.mirostat:
        return None
    limits = np.full(branch.size, np.nan, "<f4")
    limits[: len(branch.mirostat)] = branch.mirostat
    return limits.tobytes()


def _states(saved: Mapping[str, Any], branch: Branch, stepper: Stepper) -> dict[int, npt.NDArray[np.float32]]:
    """The hidden states of a saved branch by position."""
    positions = [whole_number(at, branch.start, branch.stop) for at in saved["states_at"]]
    size = 2 * stepper.num_layers * stepper.hidden_size
    states = np.frombuffer(_unpack(saved["states"], 4 * size * len(positions)), "<f4").astype(np.float32)
    states = states.reshape(len(positions), 2, stepper.num_layers, stepper.hidden_size, 1)
    # A unit's output is within ±1; a larger one could lead to logits that are not finite.
    possible = np.isfinite(states).all() and (np.abs(states[:, 0]) <= 1).all()
    if any(at % STATE_INTERVAL for at in positions) or not possible:
        raise ValueError("it holds hidden states that are impossible")
    return dict(zip(positions, states, strict=True))


def _interval(session: Session) -> int:
    """The distance between saved hidden states: the shortest that :data:`MAX_STATES` allows."""
    positions = [at for branch in session.tree.values() for at in branch.states]
    interval = STATE_INTERVAL
    while sum(at % interval == 0 for at in positions) > MAX_STATES and interval <= max(positions):
        interval *= 2
    return interval


def _pack(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 1)).decode("ascii")


def _unpack(packed: Any, size: int) -> bytes:
    """Decompress exactly ``size`` bytes, and never more: a small file could otherwise fill the memory."""
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(base64.b64decode(packed, validate=True), size + 1)
    if len(raw) != size or not unpacker.eof:  # zlib compares its checksum only at the end of the data
        raise ValueError("its text and its statistics disagree")
    return raw


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def model_digest(model: Model) -> str:
    """SHA-256 of the weights, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(model.weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(model.weights[name]).data)
    return digest.hexdigest()


Colour = Literal["rank", "probability", "entropy"]

_SCALES: dict[str, tuple[Callable[[Rows], npt.NDArray[np.intp]], tuple[str, ...]]] = {
    "rank": (
        lambda rows: np.searchsorted([1, 3, 10], rows["rank"]),
        ("the model's first guess", "its second or third", "its fourth to tenth", "further down"),
    ),
    "probability": (
        lambda rows: np.searchsorted([1, 2, 4], in_bits(rows["probability"])),
        ("probability 50 % or more", "25 to 50 %", "6 to 25 %", "less"),
    ),
    "entropy": (
        lambda rows: np.searchsorted([0.5, 1.5, 3], rows["entropy"]),
        ("the model was sure (up to 0.5 bits)", "nearly (up to 1.5)", "unsure (up to 3)", "had no idea"),
    ),
}

_STYLE = """
body{max-width:44em;margin:2em auto;padding:0 1em;font:16px/1.6 Georgia,serif;color:#1b1b1b;background:#fdfdfb}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}.p{color:#777}
.s1{background:#fff3b8}.s2{background:#ffd9a0;text-decoration:underline}.s3{background:#f7b5b5;font-weight:bold}
.own{color:#1a6b2d;font-style:italic}footer{margin-top:2em;font-size:.85em;color:#555}
@media(prefers-color-scheme:dark){body{color:#e6e6e1;background:#161616}.p{color:#8a8a8a}
.own{color:#8fd19e}.s1{background:#4a4210}.s2{background:#6b4410}.s3{background:#7a2626}footer{color:#aaa}}
""".replace("\n", "")


_TREE_STYLE = """
.tree{white-space:pre-wrap;overflow-wrap:anywhere}details{display:inline}summary{display:inline;cursor:pointer;user-select:none;margin-right:.3em}summary,small{color:#2b6cb0;font-size:.8em}summary::before{content:"▸"}.n{font-weight:bold}
details:not([open])::details-content{display:none}
details[open]{display:block;border-left:2px solid #8886;margin:.2em 0 .2em .4em;padding-left:.7em}
details[open]>summary::before{content:"▾ "}details[open]>summary>.b{display:none}.o{color:#777}
@media(prefers-color-scheme:dark){.o{color:#8a8a8a}summary,small{color:#7fb0e8}}
""".replace("\n", "")

FOLD = 12
"""Characters of a closed branch that its page shows."""


def to_text(session: Session) -> str:
    """The prime and the current text."""
    return session.prime + session.read()


def to_prose(text: str) -> str:
    """``text`` with its lines joined to paragraphs, as a word processor wants them: many training texts have lines of
    one width, and the model breaks its lines too. An empty line, and one that is indented, begin a paragraph."""
    return re.sub(r"(?<=\S) *\n(?=\S)", " ", text)


_PROSE_STYLE = _STYLE + "p{margin:0 0 1em;overflow-wrap:anywhere}.verse p{white-space:pre-wrap}"


def to_prose_markdown(text: str, title: str = "", *, verse: bool = False) -> str:
    """A text alone in Markdown, below its title if it has one: paragraphs with their lines joined, or with ``verse``
    with the lines kept."""
    lines_end = "\\\n" if verse else " "
    paragraphs = (
        lines_end.join(_markdown_line(line) for line in each.split("\n")) for each in _paragraphs(text, verse=verse)
    )
    heading = [f"# {_markdown_line(title)}"] if title else []
    return "\n\n".join([*heading, *paragraphs]) + "\n"


def to_prose_html(text: str, title: str = "", *, otherwise: str = "A text", verse: bool = False) -> str:
    """A text alone as a web page without colours, below its title if it has one: paragraphs with their lines joined, or
    with ``verse`` their lines kept. Without a title the window of the browser is named ``otherwise``."""
    heading = f'<h1 dir="auto">{as_html(title)}</h1>\n' if title else ""
    body = "\n".join(f'<p dir="auto">{as_html(each)}</p>' for each in _paragraphs(text, verse=verse))
    kind = ' class="verse"' if verse else ""
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{as_html(title or otherwise)}</title>'
        f"<style>{_PROSE_STYLE}</style></head><body{kind}>\n{heading}{body}\n</body></html>\n"
    )


def _paragraphs(text: str, *, verse: bool) -> list[str]:
    """The paragraphs of the text; with ``verse`` they are what empty lines part, each with its lines."""
    if verse:
        return [each.rstrip() for each in re.split(r"\n(?:[ \t]*\n)+", text.strip("\n")) if each.strip()]
    return [line.strip() for line in to_prose(text).split("\n") if line.strip()]


def _markdown_line(line: str) -> str:
    """A line whose characters mean nothing to Markdown. Spaces at its beginning stay, as some that do not break."""
    text = line.lstrip(" \t")
    indent = "\N{NO-BREAK SPACE}" * len(line[: len(line) - len(text)].expandtabs(4))
    text = re.sub(r"([\\`*_<>\[\]&~|$])", r"\\\1", text)
    return indent + re.sub(r"^(\d*)([#+=.)-])", r"\1\\\2", text)


def to_markdown(session: Session, title: str = "") -> str:
    """The settings and the text, below its ``title``."""
    about = "\n".join(f"- {key}: {value}" for key, value in _about(session))
    heading = _markdown_line(title) if title else _title(session)
    return f"# {heading}\n\n{about}\n\n{fenced(to_text(session))}\n"


def fenced(text: str) -> str:
    """The text as a code block of Markdown, whose fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def to_html(session: Session, colour: Colour = "rank", title: str = "") -> str:
    """A web page of one file: each character coloured by ``rank``, ``probability`` or ``entropy``, with a legend.

    Levels differ by underline and weight too, not by colour alone. Raises :class:`GenerationError` for another
    ``colour``.
    """
    if colour not in _SCALES:
        raise GenerationError(f"Text cannot be coloured by {colour!r}: choose one of {', '.join(_SCALES)}")
    levels, legend = _SCALES[colour]
    rows = session.rows()
    own = (rows["source"] != GENERATED).tolist()
    marked = zip(session.read(), levels(rows).tolist(), own, strict=True)
    body = "".join(
        _span(" ".join([f"s{level}"] * (level > 0) + ["own"] * typed), "".join(char for char, *_ in run))
        for (level, typed), run in groupby(marked, key=lambda each: each[1:])
    )
    key = " · ".join(_span(f"s{level}" if level else "", words) for level, words in enumerate(legend))
    if any(own):
        key += f" · {_span('own', 'typed or chosen by the user')}"
    about = " · ".join(as_html(f"{name} {value}") for name, value in _about(session))
    title = as_html(title or _title(session))
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
        f'<body><h1>{title}</h1><pre dir="auto">{_span("p", session.prime)}{body}</pre>'
        f"<footer><p>{key}</p><p>{about}</p></footer></body></html>\n"
    )


def to_tree_html(session: Session, title: str = "") -> str:
    """A web page of one file: the current text, and where another one leaves it, that can be opened there.

    What is not in the current text is grey. The page needs no script.
    """
    current = {branch.number for branch in session.branches() if branch.current}
    on_path = {id(branch) for number, branch in session.tree.items() if number in current}
    end, decode = len(session), session.model.vocabulary.decode
    parts = [_span("p", session.prime)]

    def text(branch: Branch, start: int, stop: int) -> str:
        return decode(branch.slice(start, max(start, stop))["id"])

    def fold(branch: Branch, start: int, name: str) -> str:
        """The start of a text that is closed at first: it shows its name, or how it begins."""
        begins = text(branch, start, min(branch.stop, start + FOLD)).replace("\n", "↵") + "…"
        return f"<details><summary>{_span('n' if name else 'b', name or begins)}</summary>"

    # What is still to be written, the next at the end: markup, or a branch from a position and a child on, and whether
    # it is current there. Branches may be nested deeper than functions of Python can be.
    todo: list[str | tuple[Branch, int, int, bool]] = [(session.root, session.root.start, 0, True)]
    children = {
        id(branch): sorted(branch.children, key=lambda each: (each.start, id(each) in on_path))
        for branch in session.tree.values()
    }
    while todo:
        step = todo.pop()
        if isinstance(step, str):
            parts.append(step)
            continue
        branch, at, number, is_current = step
        child = next(iter(children[id(branch)][number : number + 1]), None)
        stop = branch.stop if child is None else child.start
        parts.append(_span("" if is_current else "o", text(branch, at, min(stop, end) if is_current else stop)))
        if is_current and stop > end:
            parts.append(_span("o", text(branch, max(at, end), stop)))
        if child is None:
            continue
        rest = (branch, child.start, number + 1)
        name = f'<small class="n">{as_html(child.name)}</small> ' if child.name else ""
        if not (is_current and id(child) in on_path):
            todo += [
                (*rest, is_current),
                "</details>",
                (child, child.start, 0, False),
                fold(child, child.start, child.name),
            ]
        elif branch.stop > child.start:  # the current text goes on with the child: what stood here is another
            todo += [(child, child.start, 0, True), name]
            todo += ["</details>", (*rest, False), fold(branch, child.start, "")]
        else:
            todo += [(child, child.start, 0, True), name]
    about = " · ".join(as_html(f"{name} {value}") for name, value in _about(session))
    title = as_html(title or _title(session))
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}{_TREE_STYLE}</style>'
        f"</head><body><h1>{title}</h1><p>▸ opens another text that leaves this one there; grey is not in this one.</p>"
        f'<div class="tree" dir="auto">{"".join(parts)}</div>'
        f"<footer><p>{about}</p></footer></body></html>\n"
    )


def export_session(session: Session, path: str | Path, *, title: str = "") -> None:
    """Write the current text to the file ``path``, in the format of its suffix: ``.txt``, ``.md`` or ``.html``. Names
    that end in ``.prose.txt``, ``.prose.md`` or ``.prose.html`` are the text alone in paragraphs, their lines joined;
    ``.verse.md`` or ``.verse.html`` the text alone with its lines kept; ``.tree.html`` all branches. What is not plain
    text has ``title`` as its heading, if there is one.

    An existing file is replaced. Raises :class:`CharLSTMError` for another suffix or if ``path`` is not a regular file,
    :class:`OSError` if it cannot be written.
    """
    user_files.save_bytes(path, exported(session, Path(path), title=title))


def export_text(text: str, path: str | Path, title: str = "", *, overwrite: bool = True) -> None:
    """Write the text of a session whose model is not needed to the file ``path``, in the format of its suffix:
    ``.txt``, ``.md`` or ``.html``, in the last two with its lines kept; names that end in ``.prose.txt``,
    ``.prose.md`` or ``.prose.html`` are for paragraphs with their lines joined.

    Raises as :func:`export_session` does, and :class:`FileExistsError` for an existing file that is not to be
    overwritten.
    """
    content = _text_alone(text, Path(path), title)
    if content is None:
        content = _text_alone(text, Path(path).with_suffix(f".verse{Path(path).suffix}"), title)
    if content is None:
        raise _wrong_ending(Path(path))
    user_files.save_bytes(path, content.encode("utf-8", "replace"), overwrite=overwrite)


def _text_alone(text: str, path: Path, title: str, otherwise: str = "A text") -> str | None:
    """What is exported of a text alone; None where ``path`` asks for more."""
    kind = Path(path.stem).suffix.lower()
    match path.suffix.lower():
        case ".txt":
            return to_prose(text) if kind == ".prose" else text
        case ".md" if kind in (".prose", ".verse"):
            return to_prose_markdown(text, title, verse=kind == ".verse")
        case ".html" | ".htm" if kind in (".prose", ".verse"):
            return to_prose_html(text, title, otherwise=otherwise, verse=kind == ".verse")
    return None


def _wrong_ending(path: Path) -> GenerationError:
    ending = path.suffix.lower() or "a name without one of these"
    return GenerationError(f"A session is exported as .txt, .md or .html, not as {ending}")


def exported(session: Session, path: Path, colour: Colour = "rank", title: str = "") -> bytes:
    """What :func:`export_session` writes."""
    content = _text_alone(to_text(session), path, title, _title(session))
    if content is None:
        match path.suffix.lower():
            case ".md":
                content = to_markdown(session, title)
            case ".html" | ".htm" if Path(path.stem).suffix.lower() == ".tree":
                content = to_tree_html(session, title)
            case ".html" | ".htm":
                content = to_html(session, colour, title)
            case _:
                raise _wrong_ending(path)
    return content.encode("utf-8", "replace")


def target(path: Path) -> Path:
    """The file that :func:`save_as` writes for ``path``. Raises :class:`CharLSTMError` for a folder, a device and the
    like."""
    user_files.destination(path)
    path = path.with_suffix(".json") if path.suffix.lower() in ("", ".json") else path
    user_files.destination(path)
    return path


def save_as(session: Session, path: Path, *, overwrite: bool = True) -> Path:
    """Save all of a session (suffix ``.json`` or none), or its current text as :func:`export_session` does.

    Returns the file's path. Raises the same errors, and :class:`FileExistsError` when there is a file and ``overwrite``
    is false."""
    path = target(path)
    content = to_bytes(session) if path.suffix == ".json" else exported(session, path)
    user_files.save_bytes(path, content, overwrite=overwrite)
    return path


def _title(session: Session) -> str:
    run = session.model.info.get("run")
    done = "Written with" if (session.rows()["source"] != GENERATED).any() else "Generated by"
    return f"{done} {run if isinstance(run, str) else 'a character LSTM'}"


def _seed_words(session: Session) -> str:
    """The seed; where there were several, each with the place from which it holds."""
    (_, first), *others = session.seed_places() or [(0, session.seed)]
    after = " after the prime" if session.prime else ""
    return "; ".join([str(first), *(f"from character {at + 1}{after}: {seed}" for at, seed in others)])


def _about(session: Session) -> list[tuple[str, str]]:
    about = session.recipe.facts(_seed_words(session))
    bits = in_bits(session.rows()["probability"])
    if len(bits) and math.isfinite(mean := float(bits.mean())):
        about.insert(0, ("bits per character", f"{mean:.2f}"))
    return about


def _span(kind: str, text: str) -> str:
    if not kind or not text:
        return as_html(text)
    return f'<span class="{kind}">{as_html(text)}</span>'
