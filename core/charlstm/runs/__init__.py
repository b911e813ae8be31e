"""A run as a folder, and the process that trains it. Nothing is imported here; see the modules."""
