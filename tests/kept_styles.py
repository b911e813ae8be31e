"""Style sheets that are parsed once, and widgets that are styled once, for all apps that a process of the tests opens.

Textual parses all style sheets anew for each app and again for each of its modes, and finds out for each widget which
of 200 rules it has: a third of the time of the app's tests. A style sheet and its variables do not change, and which
rules a widget has depends on those, on itself and on what it stands in. The terminal tests and the fuzzing have Textual
as it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from textual.app import App
from textual.cache import LRUCache
from textual.css.model import RuleSet
from textual.css.stylesheet import RulesMap, Stylesheet
from textual.dom import DOMNode
from textual.widget import Widget

APPLY, APPLY_TO_COMPONENTS = Stylesheet.apply, Stylesheet._process_component_classes
"""Those of Textual."""
FLAGS = ("_has_hover_style", "_has_focus_within", "_has_order_style", "_has_odd_or_even")
"""What ``Stylesheet.apply`` notes of the rules of a widget, beside the styles."""


class _KeptParses(LRUCache[object, object]):
    """What ``clear`` leaves: a style sheet and the variables that it was parsed with do not change."""

    def clear(self) -> None:
        pass


class _Missed(dict[Hashable, RulesMap]):
    """The cache that ``Stylesheet.apply`` fills for a widget, if the widget's place among its siblings does not matter.
    It is empty before."""


class _KeptStyles:
    """The rules of each widget that was styled, by all that they depend on."""

    def __init__(self) -> None:
        self._parses: dict[frozenset[tuple[str, str]], _KeptParses] = {}
        self._parses_of: WeakKeyDictionary[Stylesheet, tuple[dict[str, str], _KeptParses]] = WeakKeyDictionary()
        self._sheets: dict[tuple[int, ...], dict[Hashable, tuple[RulesMap, tuple[bool, ...]]]] = {}
        self._sheet_of: WeakKeyDictionary[Stylesheet, tuple[Sequence[RuleSet], dict[Hashable, Any]]] = (
            WeakKeyDictionary()
        )

    def parses(self, sheet: Stylesheet) -> _KeptParses:
        """What was parsed with the variables of ``sheet``."""
        found = self._parses_of.get(sheet)
        if found is None or found[0] is not sheet._variables:
            parses = self._parses.setdefault(frozenset(sheet._variables.items()), _KeptParses(1000))
            found = self._parses_of[sheet] = (sheet._variables, parses)
        return found[1]

    def styles(self, sheet: Stylesheet) -> dict[Hashable, tuple[RulesMap, tuple[bool, ...]]]:
        """The widgets that were styled by the rules that ``sheet`` has now."""
        rules = sheet.rules
        found = self._sheet_of.get(sheet)
        if found is None or found[0] is not rules:
            # The rules are those of the parses, which are kept, so no other rule gets the same address.
            found = self._sheet_of[sheet] = (rules, self._sheets.setdefault(tuple(map(id, rules)), {}))
        return found[1]


def _state(node: DOMNode) -> Hashable:
    """What the selectors of a rule ask of a widget, or of the app, except its place among its siblings."""
    own: Hashable = ()
    if isinstance(node, Widget):
        own = (node.mouse_hover, node.has_focus, node.disabled, node.allow_focus())
    elif isinstance(node, App):
        own = (node.app_focus, node.current_theme.dark, node.native_ansi_color, node.no_color, node.is_inline)
    return type(node), node._id, frozenset(node._classes), own


def keep_styles(patch: pytest.MonkeyPatch) -> None:
    """Parse each style sheet once for each theme, and style widgets that are alike once."""
    kept = _KeptStyles()
    parent: tuple[DOMNode | None, tuple[Hashable, ...]] = (None, ())
    """The widget whose components are being styled, and its path."""

    def path_of(node: DOMNode) -> tuple[Hashable, ...]:
        if node._parent is not None and node._parent is parent[0]:
            return (*parent[1], _state(node))
        return tuple(map(_state, node.css_path_nodes))

    def apply_components_once(sheet: Stylesheet, node: DOMNode) -> None:
        nonlocal parent
        if node._get_component_classes():
            parent = (node, path_of(node))
            APPLY_TO_COMPONENTS(sheet, node)
            parent = (None, ())

    def apply_once(
        sheet: Stylesheet, node: DOMNode, *, animate: bool = False, cache: dict[tuple[Any, ...], RulesMap] | None = None
    ) -> None:
        styles, path = kept.styles(sheet), path_of(node)
        if path in styles:
            rules, flags = styles[path]
            for name, value in zip(FLAGS, flags, strict=True):
                setattr(node, name, value)
            sheet.replace_rules(node, rules, animate=animate)
            sheet._process_component_classes(node)
            return
        missed = _Missed()
        APPLY(sheet, node, animate=animate, cache=missed)
        for rules in missed.values():
            styles[path] = (rules, tuple(getattr(node, name) for name in FLAGS))

    patch.setattr(Stylesheet, "_parse_cache", property(kept.parses, lambda sheet, _: None), raising=False)
    patch.setattr(Stylesheet, "apply", apply_once)
    patch.setattr(Stylesheet, "_process_component_classes", apply_components_once)
    patch.setattr(RuleSet, "__hash__", object.__hash__)  # by address too, but not written in Python
