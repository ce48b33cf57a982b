"""What scores a loss is given shows in its graph: a softmax along the batch, the score of one class alone."""

import pytest
import torch
from torch import nn

from convdebug.rules import diagnose
from convdebug.watch import watch
from convdebug_sessions import Session


def trained(path, head, loss, outputs=4, steps=12):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, outputs), head)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    inputs, labels = torch.randn(32, 8), torch.arange(32) % outputs
    with watch(net, optimizer, session=path) as watched:
        for _ in range(steps):
            optimizer.zero_grad()
            value = loss(net(inputs), labels)
            value.backward()
            optimizer.step()
            watched.step(value)
    with Session.open(path) as session:
        return {each.rule: each for each in diagnose(session)}


@pytest.mark.parametrize(
    ("head", "loss"),
    [(nn.LogSoftmax(dim=0), nn.NLLLoss()), (nn.Softmax(dim=0), nn.CrossEntropyLoss())],
)
def test_a_softmax_along_the_batch_is_named(tmp_path, head, loss):
    found = trained(tmp_path / "run.convdebug", head, loss)
    assert found["batch-mixing"].severity == "error"
    assert "32 examples" in found["batch-mixing"].message


@pytest.mark.parametrize("axis", [1, -1])
def test_a_softmax_along_the_classes_mixes_nothing(tmp_path, axis):
    assert "batch-mixing" not in trained(tmp_path / "run.convdebug", nn.LogSoftmax(dim=axis), nn.NLLLoss())


def test_cross_entropy_of_one_class_is_said_to_be_always_zero(tmp_path):
    found = trained(tmp_path / "run.convdebug", nn.Identity(), nn.CrossEntropyLoss(), outputs=1)
    assert found["initial-loss-off"].severity == "error"
    assert "one class" in found["initial-loss-off"].message


class Softmax(torch.autograd.Function):
    """One of the user's own, whose node in the graph bears the name of torch's."""

    @staticmethod
    def forward(context, scores):
        return torch.log_softmax(scores, 1)

    @staticmethod
    def backward(context, gradient):
        return gradient


class Own(nn.Module):
    def forward(self, scores):
        return Softmax.apply(scores)


def test_a_softmax_of_the_users_own_does_not_end_the_training(tmp_path):
    assert "batch-mixing" not in trained(tmp_path / "run.convdebug", Own(), nn.NLLLoss())
