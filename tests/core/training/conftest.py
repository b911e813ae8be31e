from training_fixtures import corpus, one_thread, own_folders, plan, settings

__all__ = ["corpus", "one_thread", "own_folders", "plan", "settings"]
