"""A training run without torch: settings, presets, schedule, plan, events, progress, state."""
