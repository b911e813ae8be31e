"""A text that is set again and again, mostly to what it is already."""

from __future__ import annotations

from textual.content import Content
from textual.visual import VisualType
from textual.widgets import Static


class ChangingText(Static):
    """A Static that is drawn anew only when its content differs, and has the screen laid out anew only when its size
    follows from its content and may change with it."""

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        shown, before = self.content, self._content_height()
        if isinstance(content, Content) and isinstance(shown, Content) and content.is_same(shown):
            return
        super().update(content, layout=False)
        if layout and (before is None or self._content_height() != before):
            self.refresh(layout=True)

    def _content_height(self) -> int | None:
        """The height that its content needs; 0 where that does not matter, ``None`` where its width is not known, or
        follows from the content too."""
        styles, width = self.styles, self.content_size.width
        if styles.width is not None and styles.width.is_auto:
            return None
        if styles.height is not None and not styles.height.is_auto:
            return 0
        return self.get_content_height(self.container_size, self.app.size, width) if width else None
