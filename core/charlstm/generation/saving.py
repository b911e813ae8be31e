"""A session as a file: JSON that a person can read, with the figures of each character packed beside the text.

Nothing in a file is executed and nothing in it is trusted: sizes, numbers and shapes are checked before they are used.
Hidden states are kept too, so that a session goes on at once and exactly; they count only for the very same weights.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charlstm import output
from charlstm.errors import GenerationError
from charlstm.generation.priming import Prime
from charlstm.generation.samplers import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.stepper import Stepper
from charlstm.generation.steps import CHOSEN
from charlstm.generation.tree import STATES_EVERY, Branch, Pending
from charlstm.storage import write_all

if TYPE_CHECKING:
    from charlstm.model.file import Model

FORMAT = 1
MAX_BYTES = 2**30
"""A larger file is refused before it is read."""
MAX_STATES = 256
"""At most so many hidden states are saved, spread over the text; a reloaded session replays from them."""


def save_session(session: Session, path: str | Path) -> None:
    """Create or replace the file ``path``, atomically: the whole tree.

    Raises :class:`CharLSTMError` for what is not a regular file, :class:`OSError` when the disk does not take it.
    """
    content = to_bytes(session)
    output.save(path, lambda file: write_all(file, content))


def to_bytes(session: Session) -> bytes:
    """What a session file holds."""
    return json.dumps(to_dict(session), ensure_ascii=True).encode("ascii")


def load_session(path: str | Path, model: Model, *, stepper: Stepper | None = None) -> Session:
    """The session that :func:`save_session` wrote, to be played on by ``model``.

    Raises:
        GenerationError: the file is missing, damaged, of a newer format or of a model with other characters.
    """
    path = Path(path)
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):  # a device may have no end, and a pipe would wait for a writer
            raise GenerationError(f"{path} is not a file: name a session file")
        if info.st_size > MAX_BYTES:
            raise GenerationError(f"The session file {path} is too large to be one of this program's")
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise GenerationError(f"There is no session file {path}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise GenerationError(f"The session file {path} cannot be read: {error}") from None
    return from_dict(values, model, stepper=stepper, name=str(path))


def to_dict(session: Session) -> dict[str, Any]:
    """The whole tree, JSON-ready; the inverse of :func:`from_dict`."""
    if session.weights_digest is None:  # the app saves every few seconds, and a model may have some hundred megabytes
        session.weights_digest = _digest(session.model)
    numbers = {id(branch): number for number, branch in session.tree.items()}
    spacing = _spacing(session)
    branches = []
    for branch in session.root.descendants():
        rows = branch.slice(branch.start, branch.stop)
        states = {at: state for at, state in sorted(branch.states.items()) if at % spacing == 0}
        branches.append(
            {
                "number": numbers[id(branch)],
                "parent": None if branch.parent is None else numbers[id(branch.parent)],
                "start": branch.start,
                "name": branch.name,
                "text": session.model.vocabulary.decode(rows["id"]),
                "figures": _pack(rows.astype(rows.dtype.newbyteorder("<")).tobytes()),
                "states_at": list(states),
                "states": _pack(b"".join(state.astype("<f4").tobytes() for state in states.values())),
            }
        )
    return {
        "format": FORMAT,
        "kind": "charlstm session",
        "model": {"weights": session.weights_digest, "run": _text_or_none(session.model.info.get("run"))},
        "symbols": list(session.model.vocabulary.symbols),
        "prime": session.prime,
        "prime_ids": session.prime_ids.tolist(),
        "unknown": session.unknown,
        "seed": session.seed,
        "sample": session.sample,
        "settings": session.settings.to_dict(),
        "cursor": {"branch": numbers[id(session.tip)], "position": session.position},
        "branches": branches,
    }


def from_dict(values: Any, model: Model, *, stepper: Stepper | None = None, name: str = "The session") -> Session:
    """The inverse of :func:`to_dict`; raises :class:`GenerationError` for what is no such session."""
    if not isinstance(values, dict) or values.get("kind") != "charlstm session":
        raise GenerationError(f"{name} is not a saved session")
    if type(values.get("format")) is not int or values["format"] > FORMAT:
        raise GenerationError(f"{name} was written by a newer charlstm; update this one to read it")
    if values.get("symbols") != list(model.vocabulary.symbols):
        raise GenerationError(f"{name} was played on a model with other characters; open it with that one")
    try:
        return _restore(values, model, stepper or Stepper(model))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, zlib.error, binascii.Error) as error:
        raise GenerationError(f"{name} is damaged: {str(error)[:200] or type(error).__name__}") from None


def _restore(values: Mapping[str, Any], model: Model, stepper: Stepper) -> Session:
    pending = Pending(len(model.vocabulary))
    digest = _digest(model)
    same = values["model"]["weights"] == digest
    tree: dict[int, Branch] = {}
    for number, saved in enumerate(values["branches"]):
        branch = _branch(saved, tree, model, stepper, pending, same)
        if _whole(saved["number"], 0, 2**31) in tree or (number == 0) != (branch.parent is None):
            raise ValueError("its branches do not form a tree")
        tree[saved["number"]] = branch
        if branch.parent is not None:
            branch.parent.children.append(branch)
    tip = tree[values["cursor"]["branch"]]
    ids = np.asarray(values["prime_ids"], np.intp)
    if ids.ndim != 1 or not len(ids) or ids.min() < 0 or ids.max() >= len(model.vocabulary):
        raise ValueError("its prime makes no sense")
    unknown = {str(char)[:1]: _whole(count, 0, 2**62) for char, count in dict(values["unknown"]).items()}
    if values["prime"] not in ("", model.vocabulary.decode(ids)):
        raise ValueError("its prime makes no sense")
    session = Session.restored(
        model,
        Prime(values["prime"], ids, unknown),
        seed=_whole(values["seed"], -(2**63), 2**64),
        sample=_whole(values["sample"], 0, 2**62),
        settings=SamplerSettings.from_dict(values["settings"]),
        stepper=stepper,
        tree=tree,
        tip=tip,
        position=_whole(values["cursor"]["position"], 0, tip.stop),
    )
    session.weights_digest = digest
    return session


def _branch(
    saved: Mapping[str, Any], tree: Mapping[int, Branch], model: Model, stepper: Stepper, pending: Pending, same: bool
) -> Branch:
    parent = None if saved["parent"] is None else tree[saved["parent"]]
    lowest, highest = (0, 0) if parent is None else (parent.start, parent.stop)
    symbols = tuple(model.vocabulary.symbols)
    branch = Branch(parent, _whole(saved["start"], lowest, highest), symbols, pending, str(saved["name"])[:200])
    text, dtype = str(saved["text"]), branch.rows.dtype
    rows = np.frombuffer(_unpack(saved["figures"], len(text) * dtype.itemsize), dtype.newbyteorder("<")).astype(dtype)
    if any(len(rows) and rows[field].max() >= len(symbols) for field in ("id", "ids")):
        raise ValueError("it names characters that the model does not have")
    if model.vocabulary.decode(rows["id"]) != text:
        raise ValueError("its text and its figures disagree")
    for field in ("probability", "probabilities", "sampled"):
        if not ((rows[field] >= 0) & (rows[field] <= 1.0001)).all():
            raise ValueError("it holds probabilities that are none")
    sensible = (rows["entropy"] >= 0) & (rows["entropy"] < 64) & (rows["rank"] > 0) & (rows["rank"] <= len(symbols))
    if not sensible.all() or np.isinf(rows["mu"]).any() or (len(rows) and rows["source"].max() > CHOSEN):
        raise ValueError("it holds figures that make no sense")
    branch.fill(rows)
    if same:
        places = [_whole(at, branch.start, branch.stop) for at in saved["states_at"]]
        size = 2 * stepper.num_layers * stepper.hidden_size
        states = np.frombuffer(_unpack(saved["states"], 4 * size * len(places)), "<f4").astype(np.float32)
        states = states.reshape(len(places), 2, stepper.num_layers, stepper.hidden_size, 1)
        # A unit's output is within ±1; a larger one would make logits that are not finite.
        possible = np.isfinite(states).all() and (np.abs(states[:, 0]) <= 1).all()
        if any(at % STATES_EVERY for at in places) or not possible:
            raise ValueError("it holds hidden states that make no sense")
        branch.states = dict(zip(places, states, strict=True))
    return branch


def _spacing(session: Session) -> int:
    """At which multiples states are saved: as near to each other as :data:`MAX_STATES` allows."""
    places = [at for branch in session.tree.values() for at in branch.states]
    spacing = STATES_EVERY
    while sum(at % spacing == 0 for at in places) > MAX_STATES and spacing <= max(places):
        spacing *= 2
    return spacing


def _pack(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 1)).decode("ascii")


def _unpack(packed: Any, size: int) -> bytes:
    """Exactly ``size`` bytes, whatever a file may claim or try to swell to."""
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(base64.b64decode(packed, validate=True), size + 1)
    if len(raw) != size or not unpacker.eof:  # the checksum, which is compared, stands at the end
        raise ValueError("its text and its figures disagree")
    return raw


def _whole(value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{str(value)[:50]} is no whole number from {low} to {high}")
    return value


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _digest(model: Model) -> str:
    """Of the weights alone: which file they came from does not matter."""
    digest = hashlib.sha256()
    for name in sorted(model.weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(model.weights[name]).data)
    return digest.hexdigest()
