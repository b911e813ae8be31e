"""Handle keys one after another, so that a key reaches what the one before it opens, however quickly they come.

Textual sends a key to the widget that has the focus when the app reads it. A key that opens a dialog, an input or a
view does so only when it has come back to the app from the focused widget and its parents. By then the app has read the
next keys of a quick typist, or a paste, and sent them to the widget that had the focus before.
"""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import ExitStack

from textual.app import App
from textual.events import Event, Key, Paste
from textual.message import Message
from textual.message_pump import MessagePump
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

LONGEST_WAIT = 2.0
"""Seconds after which the next key is handled in any case."""
CHECK_INTERVAL = 0.05
"""Seconds between two looks at whether the widget that a key was sent to has gone, while other keys wait."""

FOLLOW_AFTER = 0.05
"""Seconds until a message follows a key behind which no other waits: first the screen shows what the key did."""
DRAW_EVERY = 0.1
"""Seconds between two frames while a held key waits."""


class KeyHandled(Message, verbose=True):
    """Follows a key from the focused widget through its parents to the app: when it arrives, the key was handled."""


class KeysWhenShown:
    """A screen that takes no key that was pressed before it could be seen, except Esc: a form with many parts may
    take seconds to open on a busy machine, and what is typed meanwhile is not meant for its first field. One of its
    parts is a :class:`DrawnTitle`."""

    shown_at = math.inf
    """When it was drawn first, by the clock of Textual's messages."""
    is_ready = False
    """Whether a part of it has the focus; keys that were pressed since it was drawn wait for that."""

    def note_drawn(self) -> None:
        """The screen is being drawn: what is pressed from now on is meant for it."""
        self.shown_at = min(self.shown_at, Message().time)

    def take_keys(self) -> None:
        """The part that is to get the keys has the focus."""
        self.note_drawn()
        self.is_ready = True


class DrawnTitle(Static):
    """The title of a screen that takes keys when it is drawn. A callback after the first frame would come too late: on
    a busy machine a person, and a test, sees the frame long before."""

    def render_line(self, y: int) -> Strip:
        if isinstance(self.screen, KeysWhenShown):
            self.screen.note_drawn()
        return super().render_line(y)


class OrderedKeys(App[None]):
    """An app in which a key waits until the one before it was handled and what that opened is there."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: deque[Key | Paste] = deque()
        self._following: KeyHandled | None = None  # what follows the key that is being handled
        self._target: MessagePump = self  # to which both are sent
        self._follows = True  # whether it was sent
        self._again = False  # whether it has to go a second time
        self._sent_at = 0.0
        self._check: Timer | None = None  # while keys wait
        self._put_off = ExitStack()  # holds Textual's batch while drawing is put off
        self._draw_at = 0.0

    async def on_event(self, event: Event) -> None:
        if not isinstance(event, Key | Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        self._keys.append(event)
        if self._following is None:
            await self._handle_keys()
            return
        self._send_following(self._following)
        if self._check is None:
            self._check = self.set_interval(CHECK_INTERVAL, self._check_target)

    async def _handle_keys(self) -> None:
        self._following = None
        self._put_off_drawing()
        while self._keys and self._following is None:
            screen, event = self.screen, self._keys[0]
            if isinstance(screen, KeysWhenShown) and not screen.is_ready and not _is_escape(event):
                self._follow(screen)
                return
            self._keys.popleft()
            if self._is_too_early(event):
                continue
            await super().on_event(event)
            target = self.focused or self.screen
            if not event.is_forwarded:  # an action was carried out
                self._follow(self)
            elif not _is_typed(event, target):
                self._again = isinstance(event, Key) and event.key == "enter"
                self._follow(target)
        if not self._keys and self._check is not None:
            self._check.stop()
            self._check = None

    def _is_too_early(self, event: Key | Paste) -> bool:
        """Whether the event came before the screen that would get it was shown."""
        screen = self.screen
        return isinstance(screen, KeysWhenShown) and event.time < screen.shown_at and not _is_escape(event)

    def _put_off_drawing(self) -> None:
        """While the same key waits again and again, as when it is held, draw only every :data:`DRAW_EVERY` seconds: it
        would otherwise wait for a frame each time, and go on after it was released."""
        now = time.monotonic()
        held = len(self._keys) > 1 and len({getattr(each, "key", None) for each in self._keys}) == 1
        if not held or now >= self._draw_at:
            self._put_off.close()
            self._draw_at = now + DRAW_EVERY
        else:
            self._put_off.enter_context(self.batch_update())

    def _follow(self, target: MessagePump) -> None:
        self._following = following = KeyHandled()
        self._target, self._sent_at, self._follows = target, time.monotonic(), False
        if self._keys:
            self._send_following(following)
        else:
            self.set_timer(FOLLOW_AFTER, lambda: self._send_following(following))

    def _send_following(self, following: KeyHandled) -> None:
        if following is self._following and not self._follows:
            self._follows, self._sent_at = True, time.monotonic()
            self._target.post_message(following)

    def on_key_handled(self, event: KeyHandled) -> None:
        event.stop()
        if event is self._following:
            self.call_later(self._next_key, event)  # after what was called later meanwhile, such as setting the focus

    async def _next_key(self, event: KeyHandled) -> None:
        if event is not self._following:
            return
        if self._again:  # what a widget does after a key, such as submitting a line, is a message that comes behind it
            self._again = False
            self._follow(self._target)
        elif not self.screen.is_mounted:
            self._follow(self.screen)  # which reads messages once it has its parts
        else:
            await self._handle_keys()

    async def _check_target(self) -> None:
        """Handle the next key if the widget that was to handle the one before it has gone."""
        if not self.screen_stack:  # the app is ending
            return
        self._put_off_drawing()
        gone = isinstance(self._target, Widget) and not self._target.is_attached
        if gone or time.monotonic() - self._sent_at > LONGEST_WAIT:
            self._again = False
            await self._handle_keys()


def _is_escape(event: Key | Paste) -> bool:
    return isinstance(event, Key) and event.key == "escape"


def _is_typed(event: Key | Paste, target: object) -> bool:
    """Whether the event is text for an input, which opens nothing."""
    return isinstance(target, Input | TextArea) and (isinstance(event, Paste) or event.is_printable)
