"""Pairs of all outputs and all labels are found in the graph of a loss, and nothing that is meant as pairs."""

import pytest
import torch
import torch.nn.functional as F

from convdebug.instruments.blown_up import blown_up

LABELS = torch.arange(8.0)


@pytest.fixture
def scores():
    """As a layer with one output gives them (8, 1), with a graph."""
    torch.manual_seed(0)
    return torch.randn(8, 3) @ torch.randn(3, 1, requires_grad=True)


BLOWN_UP = {
    "squares by hand": lambda scores: ((scores - LABELS) ** 2).mean(),
    "labels first": lambda scores: (LABELS - scores).abs().mean(),
    "a product of differences": lambda scores: ((scores - LABELS) * (scores - LABELS)).sum() / 8,
    "squeezed against a column": lambda scores: (scores.squeeze(1) - LABELS[:, None]).square().mean(),
    "beside a penalty": lambda scores: ((scores - LABELS) ** 2).mean() + 0.1 * scores.pow(2).sum(),
    "scaled": lambda scores: 1024.0 * ((scores - LABELS) ** 2).mean(),
    "a logarithm of a hyperbolic cosine": lambda scores: (scores - LABELS).cosh().log().mean(),
    "scaled and moved before it is bent": lambda scores: F.softplus(0.1 - 2 * (scores - LABELS) / 3).mean(),
    "moved in two places": lambda scores: (scores - LABELS + F.softplus(-2 * (scores - LABELS))).mean(),
    "the larger of two shares": lambda scores: (lambda apart: torch.maximum(0.9 * apart, -0.1 * apart))(
        LABELS - scores
    ).mean(),
    "mse_loss": lambda scores: F.mse_loss(scores, LABELS),
    "l1_loss": lambda scores: F.l1_loss(scores.squeeze(1), LABELS[:, None]),
    "smooth_l1_loss": lambda scores: F.smooth_l1_loss(scores, LABELS),
    "huber_loss, summed": lambda scores: F.huber_loss(scores, LABELS, reduction="sum"),
}

MEANT = {
    "squares of the same shape": lambda scores: ((scores.squeeze(1) - LABELS) ** 2).mean(),
    "a bent difference of the same shape": lambda scores: F.softplus(2 * (LABELS[:, None] - scores)).mean(),
    "a matrix of margins, bent": lambda scores: F.softplus(2 * (scores - torch.rand(8, 8))).mean(),
    "mse_loss of the same shape": lambda scores: F.mse_loss(scores.squeeze(1), LABELS),
    "one label for all": lambda scores: F.mse_loss(scores, torch.ones(1, 1)),
    "all pairs of outputs": lambda scores: F.relu(1 - (scores - scores.T).abs()).mean(),
    "pairs, and pairs of outputs": lambda scores: (scores - LABELS).abs().mean() - (scores - scores.T).abs().mean() / 2,
    "pairs by name": lambda scores: (scores.squeeze(1)[None] - LABELS[:, None]).abs().mean(),
    "a matrix of margins": lambda scores: (scores - torch.rand(8, 8)).pow(2).mean(),
    "a mask over all pairs": lambda scores: (scores.squeeze(1) + torch.rand(8, 8).log()).logsumexp(1).mean(),
    "similarities": lambda scores: F.cross_entropy(scores @ scores.T, torch.arange(8)),
    "distances": lambda scores: (torch.cdist(scores, scores) - LABELS).pow(2).mean(),
}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("loss", BLOWN_UP.values(), ids=BLOWN_UP)
def test_outputs_compared_with_all_labels_are_found(scores, loss):
    found = blown_up(loss(scores), (8, 1))
    assert found is not None
    assert found[0] in ((8,), (8, 1))
    assert found[1] == (8, 8)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("loss", MEANT.values(), ids=MEANT)
def test_what_is_meant_as_it_is_is_not_found(scores, loss):
    assert blown_up(loss(scores), (8, 1)) is None


def test_a_model_with_several_outputs_is_not_looked_at():
    scores = torch.randn(4, 4, requires_grad=True)
    assert blown_up(((scores - torch.zeros(4)) ** 2).mean(), (4, 4)) is None
