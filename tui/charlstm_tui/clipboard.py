"""What a screen copies when nothing is selected, and the clipboard of a Mac."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Copyable:
    """A text to copy, with words for the message: ``the branch``."""

    name: str
    text: str


def copy_on_mac(text: str) -> None:
    """Copy ``text`` with a Mac's own program where the app runs on the Mac in front of the user. Asked by OSC 52, its
    Terminal.app copies nothing."""
    if sys.platform == "darwin" and not {"SSH_CONNECTION", "TEXTUAL_DRIVER"} & os.environ.keys():
        with contextlib.suppress(OSError, subprocess.SubprocessError):  # OSC 52 may have done it
            environment = {**os.environ, "LC_CTYPE": "UTF-8"}
            subprocess.run(["pbcopy"], input=text.encode(), env=environment, timeout=2, check=False)
