"""``python -m charlstm_tui`` is the command ``charlstm-tui``."""

from charlstm_tui.main import main

main()
