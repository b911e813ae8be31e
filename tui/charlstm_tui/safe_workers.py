"""Workers whose exceptions are shown, and do not end the app. Unexpected ones are logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.message import Message
from textual.worker import Worker, WorkerState

from charlstm.errors import CharLSTMError
from charlstm_tui.error_log import LOG

if TYPE_CHECKING:
    from textual.dom import DOMNode as _Node
else:
    _Node = object  # a second widget class among the bases would hide the style sheets of the first


class JobFailed(Message):
    """A worker ended with an exception. The app shows it, and goes on."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class SafeWorkers(_Node):
    """A base for the app, screens and widgets with workers. Exceptions in them are shown, and logged if unexpected.

    Textual's default ends the app with a traceback. Name this class before Textual's.
    """

    def run_worker(self, *args: Any, **options: Any) -> Worker[Any]:
        """As of Textual (``@work`` calls it too), but an exception does not end the app."""
        return super().run_worker(*args, **{**options, "exit_on_error": False})

    def works_at(self, *groups: str) -> bool:
        """Whether a worker of these groups has not ended."""
        return any(each.node is self and each.group in groups and not each.is_finished for each in self.workers)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        error = event.worker.error
        if event.state is WorkerState.ERROR and error is not None:
            if not isinstance(error, CharLSTMError):
                LOG.error("worker %s", event.worker.name, exc_info=error)
            self.post_message(JobFailed(error))
