"""Suggestions of how a text that is written could continue."""

from __future__ import annotations

from dataclasses import dataclass, field

from charlstm.generation.text_pieces import Text


@dataclass(frozen=True, slots=True)
class Suggestions:
    """How the text ``after`` could continue: one of ``texts`` is shown. The texts were found for ``basis``;
    ``is_rest`` says that the only text is the rest of a suggestion that was chosen among several."""

    texts: tuple[str, ...] = ("",)
    index: int = 0
    after: Text = field(default_factory=Text)
    basis: tuple[object, ...] = ()
    is_rest: bool = False

    def at(self, basis: tuple[object, ...], text: Text, cursor: int) -> str:
        """What is suggested at the cursor of a text. Until that is found: what is left of the one before, if the text
        went on as that said."""
        shown, begin = self.texts[self.index], len(self.after)
        if not shown or cursor < begin:
            return ""
        if self.basis == basis:
            return shown
        if not self.basis or not text.starts_with(self.after):
            return ""
        went_on = text.read(begin, min(cursor, begin + len(shown) + 1))
        return shown[len(went_on) :] if shown.startswith(went_on) else ""
