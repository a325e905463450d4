"""Estimators for scikit-learn: any pair, fitted to labelled and unlabelled rows."""

from pyro_ssvae.estimators.classifier import SemiSupervisedVAEClassifier
from pyro_ssvae.estimators.folds import LabelledKFold
from pyro_ssvae.estimators.regressor import SemiSupervisedVAERegressor

__all__ = ["LabelledKFold", "SemiSupervisedVAEClassifier", "SemiSupervisedVAERegressor"]
