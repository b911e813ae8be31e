"""The mode Runs: the table of all runs, details, and what differs between them."""
