"""How good a trained pair is: metrics, bounds, probes, and reference classifiers."""
