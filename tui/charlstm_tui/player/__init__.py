"""Play models on a background thread: sessions, what the screen is told of them, and what is remembered."""
