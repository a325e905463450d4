"""What the classifier and the regressor share: training, and what a pair says of further rows."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from pyro_ssvae.contract import predictor
from pyro_ssvae.data import Split
from pyro_ssvae.errors import InputError, positive_whole
from pyro_ssvae.estimators import inputs as own_inputs
from pyro_ssvae.estimators.options import WithOptions, pair_of
from pyro_ssvae.estimators.splitting import checked_fraction, holds_out, split_of
from pyro_ssvae.evaluation import each
from pyro_ssvae.evaluation.evaluate import fit_classifier, has_bound
from pyro_ssvae.evaluation.latents import posterior_means
from pyro_ssvae.experiments import machine
from pyro_ssvae.inference import query, sampling
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.system.randomness import seeded
from pyro_ssvae.targets import Target
from pyro_ssvae.training.fit import fit
from pyro_ssvae.training.stopping import EarlyStopping

Array = np.ndarray[Any, Any]
Given = ParamSpec("Given")
Result = TypeVar("Result")
ENTRIES = 2**17  # that a pair sees at a time, where it is asked about further rows
HIDDEN, CLASSES = 32, 8  # entries that a row counts for at least, with so many classes or fewer
TURN = threading.RLock()  # Pyro's handlers and torch's seed are one for all threads


def _renew() -> None:
    global TURN
    TURN = threading.RLock()


if hasattr(os, "register_at_fork"):  # a child has none of the threads that may be in turn
    os.register_at_fork(after_in_child=_renew)


def in_turn(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """A function that waits until no other thread is in one of these."""
    @wraps(function)
    def waiting(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        with TURN:
            return function(*args, **kwargs)

    return waiting


class SemiSupervisedVAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, WithOptions):
    """The base of the estimators.

    They may be used from several threads, which take turns. A ``fit`` that fails leaves an
    estimator that is not fitted.

    Attributes:
        objective_: The trained pair, see :class:`pyro_ssvae.Objective`, on the CPU.
        split_: The rows that it was trained on, see :class:`pyro_ssvae.data.Split`. A pickle leaves
            them out.
        history_: A row for each epoch: losses, and where rows were held out, their scores.
        n_features_in_: The number of columns of X.
        feature_names_in_: The names of the columns of X, where they are texts.
    """

    method: Any
    epochs: int
    batch_labelled: int
    batch_unlabelled: int
    scaling: own_inputs.Scaling
    early_stopping: bool | str
    validation_fraction: float
    n_iter_no_change: int
    random_state: Any
    device: str
    verbose: bool

    objective_: Objective
    split_: Split
    history_: list[dict[str, float]]
    _inputs: own_inputs.Inputs
    _target: Target
    _like: Tensor  # a row of zeros, of the shape that the pair takes

    def transform(self, X: Any) -> Array:
        """The posterior means of z, (N, J), of rows X.

        Raises:
            InputError: If the pair has no z.
        """
        def means(objective: Objective, x: Tensor) -> Tensor:
            if "z" not in query.sites(objective.guide, x[:1]):
                raise self._lacks("transform", "infers no z")
            return posterior_means(objective.guide, x)

        return self._asked(X, means).numpy()

    def reconstruct(self, X: Any) -> Any:
        """What the pair makes of rows X: an array, or a frame where it was fitted to one.

        Each row is the mean of p(x | y, z) over what the guide infers from the row; in a column of
        categories, or of 0 and 1 in a frame, it has the likeliest. Gaps are filled. A frame of
        pandas has the index of X.

        Raises:
            InputError: If the pair infers nothing that rows could be made of.
        """
        def means(objective: Objective, x: Tensor) -> Tensor:
            if "z" not in query.sites(objective.guide, x[:1]):
                raise self._lacks("reconstruct", "infers no z")
            return each.reconstructions(objective.model, objective.guide, x)

        rows = self._inputs.decode(self._asked(X, means))
        if hasattr(rows, "iloc") and hasattr(X, "iloc"):
            rows.index = X.index
        return rows

    def score_samples(self, X: Any) -> Array:
        """A lower bound on log p(x) of each row, (N,), in nats: the lower, the more novel.

        It is the importance-weighted bound of :func:`pyro_ssvae.evaluation.each.bounds`, in the
        units of X. Gaps have no part in it. With ``scaling="unit"`` a number beyond those of the
        training data counts as the nearest of these: where that is what is novel, take
        ``scaling="standard"``.

        Raises:
            InputError: If the pair has no bound on log p(x).
        """
        def bounds(objective: Objective, x: Tensor) -> Tensor:
            if not has_bound(objective.model, objective.guide, x):
                raise self._lacks("score_samples", "has no bound on log p(x)")
            values = each.bounds(objective.model, objective.guide, x)
            return values + self._inputs.log_volume(x)

        return self._asked(X, bounds).numpy()

    @in_turn
    def _generated(self, y: Tensor, random_state: Any) -> Any:
        """Rows drawn from p(x | y), for labels y (N,) or (N, L) as the target keeps them.

        Images are the means of p(x | y, z), one for each z that is drawn, as figures show them.
        """
        encoded = self._target.encode(y, torch.float32)
        like = torch.zeros(len(encoded), *self._like.shape[1:])
        value = sampling.mean if like.dim() == 4 else sampling.sample
        with evaluating(self.objective_, seed=_seed(random_state)):
            if not {"x", "y"} <= query.sites(self.objective_.model, like[:1]):
                raise self._lacks("sample", "has no p(x | y)")
            drawn = sampling.drawn(self.objective_.model, like, encoded, value=value)
        return self._inputs.decode(drawn)

    def _forget(self) -> None:
        """Be an estimator that is not fitted."""
        self.__dict__.pop("objective_", None)

    @in_turn
    def _trained(self, X: Any, y: Tensor, target: Target, names: list[Any] | None) -> None:
        """Train on rows X, as scikit-learn has checked them, with columns of these names."""
        check_consistent_length(X, y)
        pair, seed = pair_of(self.method), _seed(self.random_state)
        where = machine.choose_device(self.device)
        positive_whole(n_iter_no_change=self.n_iter_no_change)
        inputs = own_inputs.learned(X, self.scaling, names)
        labelled = int(target.known(y).sum())
        stops = holds_out(self.early_stopping, labelled)
        split = split_of(
            inputs.encode(X), y, target, inputs,
            share=checked_fraction(self.validation_fraction) if stops else None, seed=seed,
        )
        with seeded(seed, []):
            objective, how = pair.on(split, **self._options)
        if predictor(objective.guide) is None:
            raise InputError(f"expected a pair that predicts y, got {pair.name}; use m1 or m2")
        training = fit(
            objective.to(where), split, epochs=self.epochs, seed=seed,
            batch_labelled=min(self.batch_labelled, len(split.labelled)),
            batch_unlabelled=self.batch_unlabelled, progress=bool(self.verbose),
            stopping=EarlyStopping(self.n_iter_no_change) if stops else None, **how,
        )
        if not stops:
            training.learners[0].measures = []  # on rows that are held out, of which there are none
        self.history_ = [epoch.row() for epoch in training]
        fit_classifier(objective.cpu().guide, split)
        like = torch.zeros(1, *split.dataset.shape)
        with evaluating(objective):
            latent = "z" in query.sites(objective.guide, like)
            means = posterior_means(objective.guide, like) if latent else like[:, :0]
        self._n_features_out = means.shape[1]
        self._inputs, self._target, self._like = inputs, split.target, like
        self.objective_, self.split_ = objective, split

    @in_turn
    def _asked(self, X: Any, question: Callable[[Objective, Tensor], Tensor]) -> Tensor:
        """What a function of the pair and of encoded rows says of X, some rows at a time.

        In float64: so what is said of a row does not depend on the rows beside it.
        """
        check_is_fitted(self)
        X = own_inputs.read(self, X, self._inputs)
        objective = copy.deepcopy(self.objective_).double()
        # A pair holds hidden units for each row, and for each of its classes.
        entries = max(self._like.numel(), HIDDEN, HIDDEN * self._target.width // CLASSES)
        answers = []
        for x in own_inputs.encoded(self._inputs, X, max(1, ENTRIES // entries)):
            with evaluating(objective):
                answers.append(question(objective, x.double()))
        return torch.cat(answers)

    def _lacks(self, method: str, what: str) -> InputError:
        name = pair_of(self.method).name
        return InputError(f"{method}: {name} {what}; use a pair that does, such as m2")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "objective_")

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: everything but the rows."""
        return {name: value for name, value in super().__getstate__().items() if name != "split_"}

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's tests and tools are to know."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


def _seed(random_state: Any) -> int:
    """A seed, from a seed, a generator of numpy's, or None: then one that nobody knows."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(check_random_state(random_state).randint(2**31 - 1))
