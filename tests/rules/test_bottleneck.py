"""A last layer that is given one number for many classes: known from how the network is built."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convdebug
from convdebug.rules import diagnose
from convdebug_sessions import Session


class Gated(nn.Module):
    """Squeeze and excitation by a single unit, and a head."""

    def __init__(self):
        super().__init__()
        self.conv, self.squeeze, self.excite = nn.Conv2d(3, 8, 3), nn.Linear(8, 1), nn.Linear(1, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, pictures):
        hidden = self.conv(pictures)
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(hidden.mean((2, 3))))))
        return self.head((hidden * gate[:, :, None, None]).mean((2, 3)))


class Around(nn.Module):
    """One unit, and a way around it."""

    def __init__(self):
        super().__init__()
        self.straight, self.narrow, self.head = nn.Linear(192, 5), nn.Linear(192, 1), nn.Linear(1, 5)

    def forward(self, pictures):
        rows = pictures.flatten(1)
        return self.straight(rows) + self.head(torch.tanh(self.narrow(rows)))


class EachAlone(nn.Module):
    """Scores of each hidden value, of which the largest count."""

    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(192, 32), nn.Linear(1, 5)

    def forward(self, pictures):
        return self.head(torch.tanh(self.hidden(pictures.flatten(1)))[:, :, None]).amax(1)


class Brightness(nn.Module):
    """The mean of a picture."""

    def forward(self, pictures):
        return pictures.flatten(1).mean(1, keepdim=True)


class Recurrent(nn.Module):
    """One hidden value."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(24, 1, batch_first=True), nn.Linear(1, 5)

    def forward(self, pictures):
        return self.head(self.rnn(pictures.reshape(-1, 8, 24))[0][:, -1])


def flat(*layers):
    return nn.Sequential(nn.Flatten(), *layers)


NARROW = {
    "one unit": lambda: flat(nn.Linear(192, 1), nn.Tanh(), nn.Linear(1, 5)),
    "behind wide layers": lambda: flat(nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 1), nn.ELU(), nn.Linear(1, 5)),
    "with a norm and what follows the head": lambda: flat(
        nn.Linear(192, 1), nn.BatchNorm1d(1), nn.Dropout(0.1), nn.Linear(1, 5), nn.Hardtanh(-5, 5)
    ),
    "one channel": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 5)
    ),
    "one hidden value": Recurrent,
}
WIDE = {
    "two units": lambda: flat(nn.Linear(192, 2), nn.Tanh(), nn.Linear(2, 5)),
    "a single layer": lambda: flat(nn.Linear(192, 5)),
    "a single layer behind a mean": lambda: nn.Sequential(Brightness(), nn.Linear(1, 5)),
    "a number at a time": EachAlone,
    "a gate": Gated,
    "a way around": Around,
    "one channel of many pixels": lambda: nn.Sequential(nn.Conv2d(3, 1, 3), nn.Flatten(), nn.Linear(36, 5)),
}


def trained(path, model, loss=F.cross_entropy, inputs=None, classes=5, steps=12):
    """What is said of underfitting after a few steps on noise."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    loss = {F.cross_entropy: nn.CrossEntropyLoss()}.get(loss, loss)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(steps):
            labels = torch.randint(0, classes, (16,))
            value = loss(model(torch.randn(16, 3, 8, 8) if inputs is None else inputs(labels)), labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            watched.step(value)
    with Session.open(path) as session:
        return [each for each in diagnose(session) if each.rule == "underfitting"]


@pytest.mark.parametrize("name", NARROW)
def test_one_number_for_many_classes_is_said_from_the_start(tmp_path, name):
    (found,) = trained(tmp_path / "run.convdebug", NARROW[name]())
    assert found.severity == "warning"
    assert "5 classes out of a single number" in found.message
    assert found.caused_by is None


@pytest.mark.parametrize("name", WIDE)
def test_a_head_that_is_given_more_or_is_not_all_there_is_is_none(tmp_path, name, capsys):
    assert trained(tmp_path / "run.convdebug", WIDE[name]()) == []
    assert "failed" not in capsys.readouterr().err


def test_one_number_is_enough_for_two_classes(tmp_path):
    model = flat(nn.Linear(192, 1), nn.Tanh(), nn.Linear(1, 2))
    assert trained(tmp_path / "run.convdebug", model, classes=2) == []


def test_several_numbers_to_be_told_may_hang_on_one(tmp_path):
    def loss(outputs, labels):
        return F.mse_loss(outputs, F.one_hot(labels, 5).float())

    assert trained(tmp_path / "run.convdebug", NARROW["one unit"](), loss) == []


@pytest.mark.parametrize(("loss", "count"), [("cross_entropy", 1), ("NLLLoss", 1), ("MultiMarginLoss", 0)])
def test_the_classes_of_a_target_count_where_its_loss_is_of_classes(written, loss, count):
    shapes = {"body.weight": [1, 64], "head.weight": [10, 1]}
    info = {
        "loss": {"name": loss, "reduction": "mean"},
        "layers": [{"name": name[:4], "units": shape[0], "parameters": [name]} for name, shape in shapes.items()],
        "parameters": [{"name": name, "shape": shape} for name, shape in shapes.items()],
    }
    with Session.open(written({"train/loss": [2.3] * 5}, info=info)) as session:
        assert [each.rule for each in diagnose(session)].count("underfitting") == count


def test_inputs_of_one_number_lose_nothing(tmp_path):
    model = nn.Sequential(nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 5))
    assert trained(tmp_path / "run.convdebug", model, inputs=lambda labels: labels[:, None].float()) == []


def test_a_network_that_puts_its_classes_in_a_row_gets_an_info(tmp_path):
    model = flat(nn.Linear(2, 1, bias=False), nn.Linear(1, 3))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0.0]]))
        model[2].weight.copy_(torch.tensor([[-9.0], [0.0], [9.0]]))
        model[2].bias.copy_(torch.tensor([-4.0, 0.0, -4.0]))

    def inputs(labels):
        return torch.stack([labels - 1.0, torch.randn(16)], 1)

    (found,) = trained(tmp_path / "run.convdebug", model, inputs=inputs, classes=3)
    assert found.severity == "info"
