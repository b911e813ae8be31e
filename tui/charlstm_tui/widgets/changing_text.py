"""A text that is set again and again, mostly to what it is already."""

from __future__ import annotations

from textual.content import Content
from textual.visual import VisualType
from textual.widgets import Static


class ChangingText(Static):
    """A Static that is drawn anew only when its content differs, and has the screen laid out anew only when its height
    follows from its content."""

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        shown = self.content
        if isinstance(content, Content) and isinstance(shown, Content) and content.is_same(shown):
            return
        height = self.styles.height
        super().update(content, layout=layout and (height is None or height.is_auto))
