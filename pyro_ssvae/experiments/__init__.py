"""Pairs by name, and their runs kept in folders: records, checkpoints, comparisons."""
