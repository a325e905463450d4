"""The names of figures and of their files, for who looks for them and draws none."""

# Every name that a figure of a run can have.
FIGURES = (
    "learning_curves", "samples", "analogies", "latent", "confusion", "labels", "reliability",
    "mistakes", "regression",
)
SUFFIXES = (".png", ".svg")
