"""Files, signals, progress and docstrings: what has nothing to do with learning."""
