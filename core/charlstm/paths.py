"""Where charlstm keeps what is not the user's own: cache, state and data folders of this system.

Each can be moved by an environment variable. Nothing here knows what lies in them; runs choose their folder in
``charlstm.runs``.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from charlstm.errors import CharLSTMError
from charlstm.storage import PRIVATE_FOLDER

_APP = "charlstm"


def cache_dir() -> Path:
    """Prepared texts and measurements of this machine; may be emptied at any time. ``CHARLSTM_CACHE`` moves it."""
    return _private_folder("CHARLSTM_CACHE", platformdirs.user_cache_path(_APP, appauthor=False))


def state_dir(*, make: bool = True) -> Path:
    """What is remembered between two starts: runs elsewhere, the app's settings. ``CHARLSTM_STATE`` moves it."""
    return _private_folder("CHARLSTM_STATE", platformdirs.user_state_path(_APP, appauthor=False), make)


def data_dir(*, make: bool = True) -> Path:
    """Runs, when no other folder was chosen. ``CHARLSTM_DATA`` moves it."""
    return _private_folder("CHARLSTM_DATA", platformdirs.user_data_path(_APP, appauthor=False), make)


def _private_folder(variable: str, default: Path, make: bool = True) -> Path:
    """The folder, made for this user alone (0700) unless ``make`` is false.

    Raises :class:`CharLSTMError` when it cannot be made.
    """
    chosen = os.environ.get(variable)
    folder = Path(os.path.expanduser(chosen)).absolute() if chosen else default
    if not make:
        return folder
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CharLSTMError(
            f"The folder {folder} cannot be made ({reason}): set {variable} to a folder that can be written"
        ) from None
    return folder
