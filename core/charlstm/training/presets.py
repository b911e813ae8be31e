"""Presets: complete settings for one minute, ten minutes and two hours, those of the reference script, and the user's.

The timed presets adapt to the size of the text, because a network overfits a small text sooner. ``docs/measured.md``
has the results. What a preset costs on this machine is computed by ``estimate``.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm import arguments
from charlstm.errors import SettingsError
from charlstm.fields import MAX_INTEGER
from charlstm.paths import config_path
from charlstm.storage import FileStamp
from charlstm.toml_files import TomlFile, read_toml, value_words
from charlstm.training.settings import LENGTH, OWN_NETWORK, Settings, parse_setting, write_setting

if TYPE_CHECKING:
    from charlstm.model.file import ModelConfig
    from charlstm.model.given import GivenModel


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset; ``about`` is one line for lists and help, ``settings`` takes the sizes of text and vocabulary.

    ``from_model`` takes the same, and returns the settings for a start from a model that has read such text; ``None``
    for a preset that starts from nothing unless asked. A user's preset names its base preset and its ``changes``.
    """

    name: str
    about: str
    settings: Callable[[int, int], Settings]
    from_model: Callable[[int, int], Settings] | None = None
    base: str = ""
    changes: tuple[tuple[str, Any], ...] = ()


def preset(
    name: str,
    chars: int = 1_000_000,
    vocab_size: int = 100,
    start_from: ModelConfig | GivenModel | None = None,
) -> Settings:
    """The settings of the preset ``name`` for a text.

    ``reference`` is compared with published figures, which are of texts as they are: open the text with
    ``TextOptions()``, as the command and the app do for it.

    Args:
        name: ``"quick"``, ``"standard"``, ``"best"``, ``"reference"`` or one of the user's configuration.
        chars: characters of the text, with the held-out part.
        vocab_size: how many of them are distinct.
        start_from: a model that training will start from and that has read such text: the model, what
            :func:`charlstm.load_model` takes, such as ``"demo"``, or its shape. None is a start from random weights,
            or from a model for which the text is new.

    Raises:
        SettingsError: an unknown name, or a size that is not a whole number of at least 0.
        ModelError, RunError: as :func:`charlstm.load_model`.
    """
    known = presets()
    if not isinstance(name, str) or name not in known:
        raise SettingsError(f"There is no preset {name!r}; the presets are {', '.join(known)}")
    chars = arguments.number("chars", chars, 0, MAX_INTEGER, error=SettingsError)
    vocab_size = arguments.number("vocab_size", vocab_size, 0, MAX_INTEGER, error=SettingsError)
    if start_from is not None:
        from charlstm.model.file import ModelConfig  # numpy: the command's help needs the presets without it
        from charlstm.model.given import given_model

        start_from = start_from if isinstance(start_from, ModelConfig) else given_model(start_from).config
    found = known[name]
    if start_from is None:
        return found.settings(chars, vocab_size)
    settings = (found.from_model or found.settings)(chars, vocab_size)
    return settings.with_changes(hidden_size=start_from.hidden_size, num_layers=start_from.num_layers)


def with_given(usual: Settings, given: Mapping[str, Any]) -> Settings:
    """The settings of a preset or of another run with those that the user ``given``.

    A limit that is given lifts the usual ones of settings that are limited in minutes: who asks for 3 epochs does not
    mean the part of them that fits into the minute of ``quick``.
    """
    return usual.with_changes(**lifted_limits(usual, given), **given)


def differences(usual: Settings, asked: Settings) -> dict[str, Any]:
    """The settings in ``asked`` that are not the ``usual`` ones; of the limits all, if one of them is another."""
    before, after = usual.to_dict(), asked.to_dict()
    different = {name for name, value in after.items() if before[name] != value}
    if LENGTH & different:
        different |= LENGTH
    return {name: after[name] for name in sorted(different)}


def lifted_limits(usual: Settings, given: Mapping[str, Any]) -> dict[str, None]:
    """The limits that :func:`with_given` lifts."""
    if usual.max_minutes is None or all(given.get(name) is None for name in LENGTH):
        return {}
    return {name: None for name in sorted(LENGTH) if name not in given and getattr(usual, name) is not None}


def _reference(chars: int, vocab_size: int) -> Settings:
    return Settings(
        hidden_size=512,
        num_layers=2,
        init="torch",
        batch_size=64,
        seq_length=100,
        epochs=3,
        optimizer="adam",
        lr=1e-3,
        beta2=0.999,
        schedule="constant",
        warmup=0.0,
        weight_decay=0.0,
        clip=5.0,
        dropout=0.5,
        shared_masks=False,
    )


LARGE_VOCABULARY = 1000
"""Vocabulary size above which the input and output layers cost more than the recurrence, so that a smaller network
learns more in a minute. Validation loss after one minute on a Chinese novel with 4,495 distinct characters: 5.36 nats
for 2 × 256 at lr 6e-3, 4.77 for 2 × 192 at 8e-3."""

LARGE_TEXT = 800_000
"""Characters from which a wider network is better in two hours, with enough regularisation."""


def _timed(chars: int, units: int, *, minutes: float, read: int, held_out: int, **others: Any) -> Settings:
    """A preset of so many ``minutes``, with what depends on the text: a network with up to ``units`` per layer reads
    about ``read`` characters in that time on two cores, and ``held_out`` characters at most are validated on."""
    size = _size(units, chars)
    dropout, weight_drop = _regularisation(read, chars, size)
    return Settings(
        hidden_size=size,
        max_minutes=minutes,
        val_fraction=min(0.1, held_out / max(chars, 1)),  # to validate on more takes time and says little more
        calibrate=True,
        dropout=dropout,
        weight_drop=weight_drop,
        **others,
    )


def _quick(chars: int, vocab_size: int) -> Settings:
    units = 192 if vocab_size > LARGE_VOCABULARY else 256
    batch = {"batch_size": 16, "seq_length": 50}
    return _timed(chars, units, minutes=1.0, read=2_000_000, held_out=300_000, lr=1.2e-2, head_lr=10.0, **batch)


def _standard(chars: int, vocab_size: int) -> Settings:
    return _timed(chars, 512, minutes=10.0, read=11_000_000, held_out=1_000_000, lr=4e-3, head_lr=5.0, patience=8)


def _best(chars: int, vocab_size: int) -> Settings:
    units = 768 if chars >= LARGE_TEXT else 512
    learning = {"head_lr": 5.0, "warmup": 0.05, "weight_decay": 0.05, "ema_decay": 0.999, "patience": 10}
    return _timed(chars, units, minutes=120.0, read=45_000_000, held_out=5_000_000, **learning)


SHORT_TEXT = 1_200_000
"""Characters up to which two epochs from the model in the box are enough. Validation loss in nats of the steps that
``quick`` takes in a minute, two epochs and four: 1.148, 1.149 and 1.151 on a novel of 1.1 million characters, 0.980,
0.983 and 0.983 on one of 0.9 million; two and four on the plays of tinyshakespeare: 1.288 and 1.294. On novels of 1.7
and 2 million five epochs gained 0.013 and 0.008."""

SHORT_RATE = 1.5e-3
"""The rate of a run of two epochs that starts from a model."""


def _from_model(
    usual: Callable[[int, int], Settings], read: int, lr: float, growth: int, chars: int, vocab_size: int
) -> Settings:
    """The ``usual`` settings of a preset that reads about ``read`` characters, changed for weights that have learnt
    already: at the rate ``lr``, and for a short text (:data:`SHORT_TEXT`) two epochs at :data:`SHORT_RATE`, for a
    longer one ``growth`` epochs more for ten times the size.

    Such weights need few epochs, fewer in a small text, and little dropout: after more they forget what they knew, and
    strong regularisation makes it worse (``git show 5eb6ae09:docs/presets.md`` has what was tried). There is no
    ``patience``: the epochs are few, and in the longest run that was measured on a text without Project Gutenberg's
    licence at its end, the last model was the best. What else `best` has, such as averaged weights, gains nothing here.
    """
    text = 0.9 * max(chars, 1)
    epochs = 2 if chars <= SHORT_TEXT else max(2, round(growth * math.log10(text / 100_000)))
    dropout = 0.05 * math.log2(max(1.0, min(epochs, read / text)))
    return usual(chars, vocab_size).with_changes(
        lr=SHORT_RATE if epochs == 2 else lr,
        head_lr=1.0,
        warmup=0.1,
        weight_decay=0.01,
        ema_decay=None,
        batch_size=32,
        seq_length=64,
        epochs=float(epochs),
        patience=None,
        dropout=round(20 * dropout) / 20,
        weight_drop=0.0,
        snapshots=4,  # the network is large, and changes little
    )


def _size(most: int, chars: int) -> int:
    """Units per layer: ``most``, halved for a text below 100,000 characters and again for each further factor of 4."""
    size, enough = most, 100_000
    while chars < enough and size > 64:
        size, enough = max(64, size // 2), enough // 4
    return size


def _regularisation(read: int, chars: int, size: int) -> tuple[float, float]:
    """Dropout and weight drop for a network of ``size`` units that reads about ``read`` characters in all: as many as a
    preset reads in its time on two cores.

    They grow with the number of epochs, because the network overfits from the second epoch on. The numbers are fitted
    to a table of ``git show c18c0465:docs/presets.md``; that a network of twice the size overfits in half the epochs
    is assumed.
    """
    doublings = math.log2(max(1.0, read / (0.9 * max(chars, 1)) * size / 256))
    dropout, weight_drop = min(0.5, 0.1 * (doublings - 0.5)), min(0.4, 0.1 * (doublings - 2.3))
    return max(0, round(20 * dropout)) / 20, max(0, round(20 * weight_drop)) / 20


DEFAULT = "quick"
"""The preset of a run that names none."""

PRESETS: dict[str, Preset] = {
    name: Preset(name, about, settings, None if growth is None else partial(_from_model, settings, *growth))
    for name, about, settings, growth in (
        ("quick", "the best text in one minute", _quick, (1_300_000, SHORT_RATE, 3)),
        ("standard", "a good model in ten minutes at most", _standard, (11_000_000, 1e-3, 4)),
        ("best", "the best model in two hours at most", _best, (45_000_000, 1e-3, 4)),
        ("reference", "the well-known script: 2 × 512, Adam, three epochs", _reference, None),
    )
}
"""The presets of the program by name, in the order in which they are shown."""


def presets() -> dict[str, Preset]:
    """All presets by name: those of the program, then those of the user's configuration. Presets with mistakes are
    missing; :func:`own_presets` reports the mistakes."""
    path = config_path()
    try:
        stamp = FileStamp.of(os.stat(path))
    except OSError:
        return dict(PRESETS)
    return PRESETS | {each.name: each for each in _configured(str(path), stamp)}


@lru_cache(maxsize=1)  # until the file changes
def _configured(path: str, _: FileStamp) -> tuple[Preset, ...]:
    try:
        return own_presets(read_toml(Path(path)))[0]
    except SettingsError:
        return ()


def base_of(name: str) -> str:
    """The preset of the program that the preset ``name`` is, or is based on; the default for one that is not known."""
    found = presets().get(name, PRESETS[DEFAULT])
    return found.base or found.name


def own_presets(file: TomlFile) -> tuple[tuple[Preset, ...], tuple[str, ...]]:
    """The presets of the tables ``[presets.NAME]`` of a configuration file, and a sentence for each wrong entry, which
    leaves out its preset."""
    tables = file.entries.get("presets", {})
    if not isinstance(tables, dict):
        return (), (file.located("", "presets", "presets are tables: write [presets.NAME], and settings below it"),)
    found, problems = [], []
    for name, table in tables.items():
        entry_name: tuple[str, str] = ("", f"presets.{name}") if isinstance(table, dict) else ("presets", name)
        try:
            if not re.fullmatch(r"\w[\w.+-]{0,39}", name) or name in (*PRESETS, "custom"):
                words = "use letters, digits, - and _, and no name of a preset of the program"
                raise SettingsError(f"{name} cannot name a preset of your own: {words}")
            if not isinstance(table, dict):
                raise SettingsError(f"{name} is a table: write [presets.{name}], and settings below it")
            changes = {}
            for entry, value in table.items():
                entry_name = (f"presets.{name}", entry)
                if entry == "preset":
                    if value not in PRESETS:
                        raise SettingsError(f"preset is {' or '.join(PRESETS)}, not {value!r}")
                else:
                    changes[entry] = parse_setting(entry, value_words(value))
            entry_name = ("", f"presets.{name}")  # what follows is wrong with all of them together
            found.append(own_preset(name, table.get("preset", DEFAULT), changes))
        except SettingsError as error:
            problems.append(file.located(*entry_name, error))
    return tuple(found), tuple(problems)


def own_preset(name: str, base: str, changes: Mapping[str, Any]) -> Preset:
    """The preset ``base`` with ``changes``. Raises :class:`SettingsError` when these do not go together."""
    known = PRESETS[base]
    with_given(known.settings(1_000_000, 100), changes)
    from_model = known.from_model
    listed = ", ".join(f"{each}={write_setting(each, value)}" for each, value in changes.items())
    return Preset(
        name,
        f"{base} with {listed}" if listed else base,
        lambda chars, symbols: with_given(known.settings(chars, symbols), changes),
        None
        if from_model is None or OWN_NETWORK & changes.keys()
        else lambda chars, symbols: with_given(from_model(chars, symbols), changes),
        base,
        tuple(changes.items()),
    )


def preset_table(name: str, base: str, changes: Mapping[str, Any]) -> str:
    """What :func:`own_presets` reads: a preset of the user's as TOML, with its settings as they are written."""
    lines = [f"[presets.{name}]", f'preset = "{base}"']
    for each, value in changes.items():
        words = write_setting(each, value)
        bare = isinstance(value, (bool, int, float))
        lines.append(f"{each} = {words if bare else json.dumps(words)}")
    return "\n".join(lines)
