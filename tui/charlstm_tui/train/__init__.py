"""The mode Train: choose settings, start a run, watch it and steer it."""
