"""See the modules; this floor's package imports nothing."""
