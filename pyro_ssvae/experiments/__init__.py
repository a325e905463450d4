"""Runs kept in folders: the pairs by name, settings, checkpoints, comparisons."""
