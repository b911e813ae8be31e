"""One module a screen, each with its ``.tcss`` beside it. Imports nothing: the app loads a screen when it is shown."""
