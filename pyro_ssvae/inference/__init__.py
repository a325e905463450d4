"""Bounds and what is made of them: the ELBO, the objective and its terms, questions to programs."""
