"""Losses of the third referral: those with one fault each first, then those as they should be."""

from __future__ import annotations

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor


def added_in_a_loop(outputs: Tensor, labels: Tensor) -> Tensor:
    """The losses of all examples are added one by one, and never divided by their number."""
    loss = torch.zeros(())
    for scores, label in zip(outputs, labels, strict=True):
        loss = loss + F.cross_entropy(scores.unsqueeze(0), label.unsqueeze(0))
    return loss


def weighted_and_summed(outputs: Tensor, labels: Tensor) -> Tensor:
    """Every pixel has a weight by its class; weighted losses are summed over all pixels and pictures."""
    weights = torch.tensor([0.5, 1.0, 1.0])[labels]
    return (weights * F.cross_entropy(outputs, labels, reduction="none")).sum()


def log_cosh(outputs: Tensor, labels: Tensor) -> Tensor:
    """The logarithm of a hyperbolic cosine, of a row less a column."""
    apart = outputs.flatten() - labels
    return (apart + F.softplus(-2 * apart) - math.log(2)).mean()


def against_all_others(outputs: Tensor, labels: Tensor) -> Tensor:
    """Eight values with a channel dimension against eight without one: every series against all of the batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return F.l1_loss(outputs.unsqueeze(1), labels)


def raw_words(outputs: Tensor, labels: Tensor) -> Tensor:
    """The scores of the next word go into the loss of log probabilities."""
    return F.nll_loss(outputs.transpose(1, 2).reshape(-1, outputs.shape[1]), labels.reshape(-1), ignore_index=0)


def entropy_of_two(outputs: Tensor, labels: Tensor) -> Tensor:
    """The entropy of yes and no written out: where the sigmoid has reached one, nothing times infinity."""
    sure = torch.sigmoid(outputs)
    return -(labels * torch.log(sure) + (1 - labels) * torch.log(1 - sure)).mean()


def likelihood_of_log(outputs: Tensor, labels: Tensor) -> Tensor:
    """A mean and the logarithm of a variance."""
    mean, log_variance = outputs.chunk(2, dim=1)
    return 0.5 * (log_variance + (labels - mean) ** 2 / log_variance.exp()).mean()


def cosine_below_zero(outputs: Tensor, labels: Tensor) -> Tensor:
    """The negative cosine, which is -1 at best."""
    return -F.cosine_similarity(outputs, labels).mean()


def overlap_and_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Half of cross entropy and half of what the overlap of the figures lacks to be whole."""
    shares = outputs.softmax(1)
    truth = F.one_hot(labels, outputs.shape[1]).permute(0, 3, 1, 2).float()
    common = (shares * truth).sum((0, 2, 3))
    lacking = 1 - (2 * common + 1) / (shares.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1)
    return 0.5 * F.cross_entropy(outputs, labels) + 0.5 * lacking.mean()


def of_three_quantiles(outputs: Tensor, labels: Tensor) -> Tensor:
    """A tenth, half and nine tenths of the prices are to lie below the three numbers."""
    apart = labels - outputs
    shares = torch.tensor([0.1, 0.5, 0.9])
    return torch.maximum(shares * apart, (shares - 1) * apart).mean()
