"""The command line `charlstm`: every capability of the app without a screen.

Both commands import this before any module that Windows lacks, such as fcntl."""

import sys

if sys.platform == "win32":
    raise SystemExit(
        "charlstm needs Linux or macOS: on Windows, run `wsl --install` in PowerShell as administrator, and install "
        "charlstm in the Linux that this sets up"
    )
