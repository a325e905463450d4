"""What a table of runs says about the pairs, and how sure that is."""
