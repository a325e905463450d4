"""GaussianMixture against EM and discriminant analysis."""

import pytest
import torch
from by_hand import derived_bound
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.mixture import GaussianMixture as ReferenceMixture
from torch import Tensor
from torch.distributions import MultivariateNormal

from pyro_ssvae import guides, models

N, D, K = 200, 2, 3


@pytest.fixture(params=["diagonal", "full"])
def pair(request):
    torch.manual_seed(0)
    model = models.GaussianMixture(D, K, covariance=request.param).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model, guides.GaussianMixture(model)


@pytest.fixture
def points() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    y = torch.arange(N) % K
    centres = torch.tensor([[0.0, 2.0], [-2.0, -1.0], [2.0, -1.0]]).double()
    return centres[y] + 0.6 * torch.randn(N, D).double(), torch.eye(K).double()[y]


def log_joint(model: models.GaussianMixture, x: Tensor) -> Tensor:
    """log p(y) N(x | mu_y, Sigma_y) for every y, (N, K)."""
    columns = []
    for k in range(K):
        scale = torch.diag(torch.log1p(model.raw_scale[k].exp()) + model.floor)
        if model.lower is not None:
            scale = scale + model.lower[k].tril(-1)
        columns.append(MultivariateNormal(model.loc[k], scale @ scale.T).log_prob(x))
    return torch.stack(columns, -1) + model.logits.log_softmax(-1)


def gradients(loss: Tensor, model: models.GaussianMixture) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters()), retain_graph=True))


def test_labelled_bound_is_the_joint_log_likelihood(pair, points) -> None:
    model, guide = pair
    x, y = points
    expected = -(y * log_joint(model, x)).sum(-1).mean()
    derived = derived_bound(model, guide, x, y)
    torch.testing.assert_close(derived, expected, rtol=1e-10, atol=1e-10)
    for a, b in zip(gradients(derived, model), gradients(expected, model)):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_unlabelled_bound_is_the_marginal_log_likelihood(pair, points) -> None:
    model, guide = pair
    x, _ = points
    expected = -log_joint(model, x).logsumexp(-1).mean()
    torch.testing.assert_close(derived_bound(model, guide, x), expected, rtol=1e-10, atol=1e-10)


def test_gradient_is_that_of_ems_expected_log_likelihood(pair, points) -> None:
    # Fisher's identity: at the E-step's responsibilities, Q and log p(x) have one gradient.
    model, guide = pair
    x, _ = points
    responsibilities = log_joint(model, x).softmax(-1).detach()
    q = -(responsibilities * log_joint(model, x)).sum(-1).mean()
    for a, b in zip(gradients(derived_bound(model, guide, x), model), gradients(q, model)):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_where_em_ends_the_gradient_is_zero(points) -> None:
    x, _ = points
    em = ReferenceMixture(K, covariance_type="diag", tol=1e-12, max_iter=2_000, reg_covar=0,
                          random_state=0).fit(x)
    model = models.GaussianMixture(D, K).double()
    guide = guides.GaussianMixture(model)
    with torch.no_grad():
        model.logits.copy_(torch.from_numpy(em.weights_).log())
        model.loc.copy_(torch.from_numpy(em.means_))
        scale = torch.from_numpy(em.covariances_).sqrt() - model.floor
        model.raw_scale.copy_(torch.log(torch.expm1(scale)))
    loss = derived_bound(model, guide, x)
    assert loss.item() == pytest.approx(-em.score(x), rel=1e-9)
    assert max(gradient.abs().max().item() for gradient in gradients(loss, model)) < 1e-5
    expected = torch.from_numpy(em.predict_proba(x))
    torch.testing.assert_close(guide.classify(x).probs, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("rows", [N, 1])
def test_classify_is_bayes_rule(rows, pair, points) -> None:
    model, guide = pair
    x = points[0][:rows]
    expected = log_joint(model, x).softmax(-1)
    torch.testing.assert_close(guide.classify(x).probs, expected, rtol=1e-8, atol=1e-10)


def test_tied_and_full_covariance_with_all_labels_is_linear_discriminant_analysis(points) -> None:
    x, y = points
    classes = y.argmax(-1).numpy()
    lda = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True).fit(x, classes)
    model = models.GaussianMixture(D, K, covariance="full", tied=True, floor=1e-6).double()
    guide = guides.GaussianMixture(model)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=500, tolerance_grad=1e-10,
                                  tolerance_change=0, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = derived_bound(model, guide, x, y)
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(model.loc.detach(), torch.from_numpy(lda.means_), atol=1e-4, rtol=0)
    expected = torch.from_numpy(lda.predict_proba(x))
    torch.testing.assert_close(guide.classify(x).probs.detach(), expected, atol=1e-3, rtol=0)
