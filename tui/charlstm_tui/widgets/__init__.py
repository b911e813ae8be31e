"""The app's own widgets, one module each. Imports nothing."""
