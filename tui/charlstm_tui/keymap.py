"""The keys that the user configured, ``[keys]`` of the configuration: check them, and make Textual's keymap of them."""

from __future__ import annotations

import difflib
import json
import string
from collections.abc import Callable, Mapping

from textual.binding import Binding
from textual.keys import Keys, key_to_character

from charlstm.config import ENTRIES
from charlstm_tui.actions import ACTIONS, BY_ID, IN_INPUTS, SCOPES, Action, active, key_name

MODIFIERS = ("ctrl", "shift", "alt", "super", "meta", "hyper")
_NAMED = {key.value for key in Keys if "+" not in key.value and not key.value.startswith("<")}


def _code(character: str) -> str:
    return next(iter(Binding.make_bindings([(character, "")]))).key


_TYPING = {" ": "space", ",": "comma"} | {char: _code(char) for char in string.punctuation if char != ","}
"""The keys that type a character and have a name in Textual: ``slash``."""


_SAME_BYTE = ("ctrl+i", "ctrl+m", "ctrl+left_square_bracket")
"""In a terminal these are Tab, Enter and Esc."""


def key_code(written: str) -> str | None:
    """Textual's name of a key that a person wrote, such as ``Ctrl+S``, ``space`` or ``/``; ``None`` for no key."""
    if len(written) == 1:
        return _TYPING.get(written, written)
    *modifiers, last = (part.strip() for part in written.strip().replace("++", "+plus").split("+"))
    modifiers = [word.lower() for word in modifiers]
    if len(last) > 1 or modifiers:
        last = last.lower()
    last = _TYPING.get(last, last)
    code = "+".join([*modifiers, last])
    if any(word not in MODIFIERS for word in modifiers) or code in _SAME_BYTE:
        return None
    return code if len(last) == 1 or last in _NAMED or _types(last) else None


def checked_keys(
    configured: Mapping[str, tuple[str, ...]], problem: Callable[[str, str], None]
) -> dict[str, tuple[str, ...]]:
    """The configured keys that can be used, by action. The others keep their default.

    Args:
        configured: keys by the id of an action, as the user wrote them.
        problem: called with an id and a sentence for each entry that cannot be used.

    Raises:
        ValueError: two actions have the same key by default, which is a mistake in the table.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    for name, written in configured.items():
        action = BY_ID.get(name)
        if name in ENTRIES:
            problem(name, f"{name} is an entry of its own, not the key of an action: put its line above [keys]")
            continue
        if action is None:
            near = difflib.get_close_matches(name, BY_ID, n=1)
            problem(name, f"There is no action {name!r}{f': did you mean {near[0]}?' if near else ''}")
            continue
        codes = tuple(dict.fromkeys(code for key in written if (code := key_code(key)) is not None))
        unknown = [key for key in written if key_code(key) is None]
        if unknown:
            near = difflib.get_close_matches(unknown[0].lower(), _NAMED, n=1)
            like = f": did you mean {near[0]}?" if near else "; keys are written like p, space, f5 or ctrl+s"
            problem(name, f"There is no key {unknown[0]!r}{like}")
        elif set(action.scopes).intersection(IN_INPUTS) and (typed := [code for code in codes if _types(code)]):
            problem(name, f"{name} acts in text fields too, where {key_name(typed[0])} is typed; use a key with Ctrl")
        elif codes:
            chosen[name] = codes
    while clash := _clash(chosen):
        dropped, other, code = clash
        if dropped.id not in chosen:
            raise ValueError(
                f"{key_name(code)} is the key of both {dropped.id} and {other.id}, which act at the same time: give "
                "one of them another key in charlstm_tui.actions.ACTIONS"
            )
        del chosen[dropped.id]
        stays = " ".join(map(key_name, dropped.default_keys))
        problem(dropped.id, f"{key_name(code)} is the key of {other.id} already; {dropped.id} stays on {stays}")
    return chosen


def written_keys() -> str:
    """The keys of all actions as a part of a configuration, which may be pasted there and changed."""
    characters = {code: char for char, code in _TYPING.items() if char != " "}
    lines = ["[keys]"]
    for action in ACTIONS:
        keys = [characters.get(key, key) for key in action.default_keys]
        lines += [f"# {action.help}", f'"{action.id}" = {json.dumps(keys[0] if len(keys) == 1 else keys)}']
    return "\n".join(lines)


def _types(code: str) -> bool:
    """Whether the key puts a character into a text field."""
    character = key_to_character(code)
    return code in _TYPING.values() or (character is not None and character.isprintable())


def _clash(chosen: Mapping[str, tuple[str, ...]]) -> tuple[Action, Action, str] | None:
    """Two actions that act at the same time and have the same key: a configured one, if one of them is; the other one;
    and the key."""
    for scopes in SCOPES.values():
        meanings: dict[str, Action] = {}
        for action in active(scopes):
            for code in chosen.get(action.id, action.default_keys):
                other = meanings.setdefault(code, action)
                if other is not action:
                    return (action, other, code) if action.id in chosen else (other, action, code)
    return None


def textual_keymap(chosen: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The argument of Textual's ``set_keymap`` for these keys.

    Textual removes a key that is given to or taken from an action from all other actions of the screen, also from
    actions at other times. So once one key is changed, the argument names all actions with their keys.
    """
    if not chosen:
        return {}
    return {action.id: ",".join(chosen.get(action.id, action.default_keys)) for action in ACTIONS}
