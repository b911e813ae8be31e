"""The user's configuration: ``config.toml``, which the program reads and never writes.

What the app itself remembers from one start to the next is kept in its state folder, not here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from charlstm.errors import SettingsError
from charlstm.paths import config_path
from charlstm.setting_fields import number_words, setting, setting_fields, unknown_setting
from charlstm.toml_files import TomlFile, read_toml
from charlstm.training.presets import DEFAULT, PRESETS, Preset, own_presets

WORD = "a word in quotes"
"""The phrase for an entry with any text."""

LossUnit = Literal["nats", "bits"]
Colouring = Literal["surprise", "rank", "entropy", "off"]
Notify = Literal["both", "bell", "desktop", "off"]


@dataclass(frozen=True, slots=True)
class Config:
    """What a user configured; every entry is optional. The example file, the checks and the command ``doctor`` get the
    entries from here."""

    theme: str = setting(
        "",
        'a theme of the app, such as "nord" (the palette lists them); without it the last one that you chose, else a '
        "dark or light one to match the terminal's background",
        text=WORD,
    )
    loss_unit: LossUnit = setting("nats", 'the unit of losses: "nats" or "bits" per character')
    start_folder: str = setting(
        "",
        'the folder whose texts Corpus lists first, such as "~/texts"; without it the folder in which the app starts, '
        "or the one that was listed last in an app started there",
        text=WORD,
    )
    preset: str = setting(DEFAULT, f"the preset for a new text: {', '.join(PRESETS)}", words=tuple(PRESETS))
    colouring: Colouring = setting("surprise", 'how generated text is coloured: "surprise", "rank", "entropy" or "off"')
    speed: float = setting(60.0, "generated characters a second; 0: one for each key press", low=0, high=100_000)
    mouse: bool = setting(True, "false: the terminal handles the mouse")
    notify: Notify = setting(
        "both",
        'how the terminal tells you that a run of a minute or more has finished or failed: "bell", "desktop" (a '
        'notification, where the terminal can), "both" or "off"; never while you look at the app',
    )
    on_end: tuple[str, ...] = setting(
        (),
        'a program with its arguments, started whenever a run has finished or failed, such as ["python3", '
        '"/home/me/mail.py"]; it gets the run as JSON on standard input, and 30 seconds to end',
        text="a list of words in quotes, the program and its arguments",
    )
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Keys by the id of an action, such as "train.pause" = "p" or ["p", "space"]."""
    presets: tuple[Preset, ...] = ()
    """Presets besides those of the program."""

    @property
    def values(self) -> dict[str, Any]:
        """The entries by name, without the tables."""
        return {name: getattr(self, name) for name in setting_fields(Config)}


ENTRIES = tuple(each.name for each in fields(Config))


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
        file = read_toml(path or config_path())
    except SettingsError as error:
        return Config(), (str(error),)
    presets, wrong_presets = own_presets(file)
    config, problems = Config(presets=presets), list(wrong_presets)
    own = {each.name for each in presets}
    for name, value in file.entries.items():
        if name == "presets":
            continue
        if name == "preset" and value in own:
            config = replace(config, preset=value)
            continue
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
        return read_toml(path or config_path()).located(table, name, problem)
    except SettingsError:  # it has changed since
        return str(problem)


def example_config() -> str:
    """A configuration file with every entry, its default and what it is, all commented out."""
    lines = ["# The configuration of charlstm-tui. Remove the # before an entry to change it.", ""]
    for name, entry in setting_fields(Config).items():
        lines += [f"# {entry.about}", f"# {name} = {written(entry.default)}", ""]
    lines += [
        "# Keys by action; `charlstm-tui --keys` prints them all. All other entries stand above.",
        "[keys]",
        '# "train.pause" = "p"',
        "",
        "# Presets of your own: one of the program's, and the settings that differ. `charlstm sweep` finds some.",
        "[presets]",
        '# my-preset = { preset = "quick", hidden_size = 128 }',
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
    return number_words(value)


def _checked(name: str, value: Any) -> Any:
    entry = setting_fields(Config).get(name)
    if entry is None:
        raise SettingsError(f"There is no entry {name!r}: {unknown_setting(name, ENTRIES)}")
    if not entry.fits(value):
        raise SettingsError(f"{name} is {entry.takes}, not {value!r}")
    return entry.kind(value)


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
            problems.append(
                file.located("keys", action, f"{action} is a key in quotes, or a list of them, not {keys!r}")
            )
    return MappingProxyType(found), problems


def _flat(table: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of a table with those of its own tables: ``train.pause`` without quotes is a table in TOML."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{head}{name}.")
        else:
            yield f"{head}{name}", value
