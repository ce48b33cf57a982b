"""Trainings of several heads: each loss function, and each call of it, is judged by its own number of scores."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convdebug
from convdebug.rules import diagnose
from convdebug.rules.facts import Facts
from convdebug.rules.training import chance_loss, heads
from convdebug_sessions import Session

CENTERS = torch.randn(30, 16, generator=torch.Generator().manual_seed(1))


class Heads(nn.Module):
    """A body and a head for each number of outputs; `scale` makes the scores of the first one large."""

    def __init__(self, *outputs, scale=1.0):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 64), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(64, each) for each in outputs)
        self.scale = scale

    def forward(self, inputs):
        first, *rest = (head(self.body(inputs)) for head in self.heads)
        return (first * self.scale, *rest)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def recorded(path, model, total, steps=60):
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(steps):
            classes = torch.randint(0, 30, (50,))
            loss = total(model(CENTERS[classes] + 0.4 * torch.randn(50, 16)), classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    return path


def said(path, rule="initial-loss-off"):
    with Session.open(path) as session:
        return [each for each in diagnose(session) if each.rule == rule and each.severity != "info"]


def begun(path):
    with Session.open(path) as session:
        return {(each.function, each.classes): len(each.losses) for each in heads(Facts(session))}


def with_binary(answers, classes):
    odd = (classes % 2).float()
    logits = answers[1].squeeze(1)
    return F.cross_entropy(answers[0], classes) + 0.3 * F.binary_cross_entropy_with_logits(logits, odd)


def with_probabilities(answers, classes):
    share = torch.sigmoid(answers[1].squeeze(1))
    return F.cross_entropy(answers[0], classes) + 0.3 * F.binary_cross_entropy(share, (classes % 2).float())


def with_number(answers, classes):
    return F.cross_entropy(answers[0], classes) + F.mse_loss(answers[1].squeeze(1), classes / 30.0)


def binary_first(answers, classes):
    odd = (classes % 2).float()
    logits = answers[1].squeeze(1)
    return 0.3 * F.binary_cross_entropy_with_logits(logits, odd) + F.cross_entropy(answers[0], classes)


def of_each_example(answers, classes):
    odd = (classes % 2).float()
    binary = F.binary_cross_entropy_with_logits(answers[1].squeeze(1), odd, reduction="none")
    return F.cross_entropy(answers[0], classes, reduction="none").mean() + 0.3 * binary.mean()


def summed(answers, classes):
    odd = (classes % 2).float()
    binary = F.binary_cross_entropy_with_logits(answers[1].squeeze(1), odd, reduction="sum")
    return (F.cross_entropy(answers[0], classes, reduction="sum") + 0.3 * binary) / len(classes)


TOTALS = [with_binary, with_probabilities, with_number, binary_first, of_each_example, summed]


@pytest.mark.parametrize("total", TOTALS)
def test_many_classes_beside_another_loss_begin_at_their_own_chance(tmp_path, total):
    assert said(recorded(tmp_path / "s.convdebug", Heads(30, 1), total)) == []


def two_entropies(answers, classes):
    return F.cross_entropy(answers[0], classes) + 0.5 * F.cross_entropy(answers[1], classes % 2)


def test_two_heads_with_one_function_are_judged_apart(tmp_path):
    path = recorded(tmp_path / "s.convdebug", Heads(30, 2), two_entropies)
    assert begun(path) == {("cross_entropy", 30): 5, ("cross_entropy", 2): 5}
    assert said(path) == []


def test_of_two_heads_the_one_with_large_scores_is_named_with_its_classes(tmp_path):
    (one,) = said(recorded(tmp_path / "s.convdebug", Heads(30, 2, scale=100.0), two_entropies))
    assert one.severity == "error"
    assert "The first loss of cross_entropy is" in one.message
    assert "guessing among 30 classes gives 3.40" in one.message
    assert one.evidence["expected"] == pytest.approx(math.log(30))


def test_a_binary_loss_that_favours_the_rare_class_has_no_known_chance(tmp_path):
    def total(answers, classes):
        weight = torch.tensor(29.0)
        rare = (classes == 0).float()
        return F.binary_cross_entropy_with_logits(answers[0].squeeze(1), rare, pos_weight=weight)

    path = recorded(tmp_path / "s.convdebug", Heads(1, scale=1e-3), total)
    assert begun(path) == {("binary_cross_entropy_with_logits", 0): 5}
    assert said(path) == []


def test_chance_of_one_head_is_none_of_the_sum(tmp_path):
    with Session.open(recorded(tmp_path / "s.convdebug", Heads(30, 1), with_binary)) as session:
        assert math.isnan(chance_loss(Facts(session)))
