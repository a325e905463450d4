"""The papers' claims, each run by one command, beside what was published."""
