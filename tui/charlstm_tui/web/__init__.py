"""The app in a browser: ``charlstm-tui --serve``."""
