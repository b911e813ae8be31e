"""A run as a folder, and the process that trains it. This package imports nothing; see its modules."""
