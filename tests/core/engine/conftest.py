from training_fixtures import corpus, one_thread, plan, settings

__all__ = ["corpus", "one_thread", "plan", "settings"]
