"""The user's configuration of the app: ``config.toml``, which the program reads and never writes.

What the app itself remembers from one start to the next is kept in its state folder, not here.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import platformdirs

from charlstm.errors import SettingsError
from charlstm.toml_files import TomlFile, read_toml
from charlstm.training.presets import DEFAULT, PRESETS

LossUnit = Literal["nats", "bits"]
Colouring = Literal["surprise", "rank", "entropy", "off"]


@dataclass(frozen=True, slots=True)
class Config:
    """What a user configured; every entry is optional."""

    theme: str = ""
    """A theme of the app; empty: the light or the dark one, by the background of the terminal."""
    loss_unit: LossUnit = "nats"
    """The unit of losses: nats or bits per character."""
    start_folder: str = ""
    """The folder whose texts are listed first; empty: the one that the app is started in. ~ is the home folder."""
    preset: str = DEFAULT
    """The preset that is chosen for a new text."""
    colouring: Colouring = "surprise"
    """How generated text is coloured."""
    speed: float = 60.0
    """Characters a second that are generated; 0: one for each key press."""
    mouse: bool = True
    """Whether the app reads the mouse; without it the terminal selects text itself."""
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Keys by the id of an action, such as "train.pause" = "p" or ["p", "space"]."""


ENTRIES = tuple(each.name for each in fields(Config))


def config_path() -> Path:
    """Where the configuration is: the file that ``CHARLSTM_CONFIG`` names, or ``config.toml`` in the platform's folder
    of configurations."""
    chosen = os.environ.get("CHARLSTM_CONFIG")
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()
    return platformdirs.user_config_path("charlstm", appauthor=False) / "config.toml"


def load_config(path: Path | None = None) -> tuple[Config, tuple[str, ...]]:
    """Read the configuration.

    Args:
        path: a file that must exist; None is :func:`config_path`, which need not.

    Returns:
        The configuration, and a sentence with file and line for each entry that is wrong; such an entry has its
        default.
    """
    if path is None and not config_path().exists():
        return Config(), ()
    try:
        file = read_toml(path or config_path(), "configuration")
    except SettingsError as error:
        return Config(), (str(error),)
    config = Config()
    problems: list[str] = []
    for name, value in file.entries.items():
        if name == "keys":
            keys, wrong = _keys(file, value)
            config, problems = replace(config, keys=keys), [*problems, *wrong]
            continue
        try:
            config = replace(config, **{name: _checked(name, value)})
        except SettingsError as error:
            problems.append(file.located("", name, error))
    return config, tuple(problems)


def located(path: Path | None, table: str, name: str, problem: object) -> str:
    """``problem``, a sentence about an entry that only the app can check, with file and line.

    Args:
        path: the file as for :func:`load_config`.
        table: the table that the entry is in; empty: none.
        name: the entry.
        problem: what is wrong with it.
    """
    try:
        return read_toml(path or config_path(), "configuration").located(table, name, problem)
    except SettingsError:  # it has changed since
        return str(problem)


def example_config() -> str:
    """A configuration file with every entry, its default and what it is, all commented out."""
    abouts = {
        "theme": 'a theme of the app, such as "nord"; without it the terminal\'s background decides',
        "loss_unit": '"nats" or "bits" per character',
        "start_folder": 'the folder whose texts are listed first, such as "~/texts"',
        "preset": f"the preset for a new text: {', '.join(PRESETS)}",
        "colouring": 'how generated text is coloured: "surprise", "rank", "entropy" or "off"',
        "speed": "characters a second that are generated",
        "mouse": "false leaves the mouse to the terminal",
    }
    lines = ["# The configuration of charlstm-tui. Remove the # before an entry to change it.", ""]
    for name, about in abouts.items():
        value = getattr(Config(), name)
        written = (
            str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value:g}"
        )
        lines += [f"# {about}", f"# {name} = {written}", ""]
    lines += [
        "# Keys by action; docs/configuration.md lists the actions. All other entries stand above.",
        "[keys]",
        '# "train.pause" = "p"',
    ]
    return "\n".join(lines) + "\n"


def written(value: Any) -> str:
    """A value of a configuration as TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False)
        case tuple():
            return f"[{', '.join(map(written, value))}]"
    return f"{value:g}"


def _checked(name: str, value: Any) -> Any:
    if name not in _CHECKS:
        near = difflib.get_close_matches(name, ENTRIES, n=1)
        raise SettingsError(f"There is no entry {name!r}{f': did you mean {near[0]}?' if near else ''}")
    return _CHECKS[name](value)


def _one_of(*words: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in words:
            raise SettingsError(f"It is one of {', '.join(words)}, not {value!r}")
        return value

    return check


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"It is a word in quotes, not {value!r}")
    return value


def _speed(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100_000:
        raise SettingsError(f"It is a number from 0 to 100000, not {value!r}")
    return float(value)


def _true_or_false(value: Any) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"It is true or false, not {value!r}")
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "theme": _text,
    "loss_unit": _one_of("nats", "bits"),
    "start_folder": _text,
    "preset": _one_of(*PRESETS),
    "colouring": _one_of("surprise", "rank", "entropy", "off"),
    "speed": _speed,
    "mouse": _true_or_false,
}


def _keys(file: TomlFile, value: Any) -> tuple[Mapping[str, tuple[str, ...]], list[str]]:
    if not isinstance(value, dict):
        return MappingProxyType({}), [
            file.located("", "keys", "keys is a table: write [keys], and the actions below it")
        ]
    found: dict[str, tuple[str, ...]] = {}
    problems = []
    for action, keys in _flat(value):
        listed = [keys] if isinstance(keys, str) else keys
        if isinstance(listed, list) and all(isinstance(key, str) and key for key in listed):
            found[action] = tuple(listed)
        else:
            problems.append(file.located("keys", action, f"It is a key in quotes, or a list of them, not {keys!r}"))
    return MappingProxyType(found), problems


def _flat(table: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of a table with those of its own tables: ``train.pause`` without quotes is a table in TOML."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{head}{name}.")
        else:
            yield f"{head}{name}", value
