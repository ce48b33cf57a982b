"""The instruments for rules about data, graphs, clipping, dropout and waiting: right numbers, and nothing changed."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, Dataset

from convdebug import watch
from convdebug.instruments.examples import Fingerprints
from convdebug.instruments.sync import WaitingCalls
from convdebug.instruments.workers import shared_generators
from convdebug.rules import diagnose
from convdebug_sessions import Session


def net():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.8), nn.Linear(16, 3))


def batches(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(8, 6, generator=generator), torch.randint(0, 3, (8,), generator=generator)) for _ in range(count)
    ]


def trained(path=None, steps=40, evaluate=(), keep=False, limit=1e-3, source="target"):
    """A loop with clipping and dropout, watched if a path is given; its weights and random state at the end."""
    torch.manual_seed(0)
    model, kept = net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loop(watched):
        for inputs, labels in batches(steps):
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(model.parameters(), limit)
            optimizer.step()
            kept.append(loss if keep else loss.detach())
            if watched is not None:
                watched.step(loss)
        model.eval()
        with torch.no_grad():
            for inputs in evaluate:
                model(inputs)
        model.train()

    if path is None:
        loop(None)
    else:
        with watch(model, optimizer, session=path, every=1, info={"source": source}) as watched:
            loop(watched)
    return [parameter.detach().clone() for parameter in model.parameters()], torch.get_rng_state()


def test_weights_and_random_state_are_the_same_to_the_bit(tmp_path):
    plain, state = trained()
    seen, state_seen = trained(tmp_path / "run.convdebug", evaluate=[batches(1)[0][0]])
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))
    assert torch.equal(state, state_seen)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.events(kinds={"instrument-failed"}) == []


def test_torchs_own_functions_are_back_when_the_run_is_over(tmp_path):
    before = (
        torch.nn.utils.clip_grad._clip_grads_with_norm_,
        torch.nn.utils.clip_grad_value_,
        DataLoader.__iter__,
        torch.Tensor.item,
    )
    trained(tmp_path / "run.convdebug", steps=3)
    after = (
        torch.nn.utils.clip_grad._clip_grads_with_norm_,
        torch.nn.utils.clip_grad_value_,
        DataLoader.__iter__,
        torch.Tensor.item,
    )
    assert before == after


def test_clipping_is_seen_before_it_cuts_even_if_imported_by_name(tmp_path):
    trained(tmp_path / "run.convdebug", steps=5)
    with Session.open(tmp_path / "run.convdebug") as session:
        _, sizes = session.series("clipping/size")
        _, limits = session.series("clipping/limit")
        _, norms = session.series("gradient/0.weight/norm")
    assert limits == pytest.approx(1e-3)
    assert (sizes > 0.01).all()
    assert (norms <= 1.001e-3).all()


@pytest.mark.parametrize(("keep", "alive"), [(False, 2), (True, 39)])
def test_graphs_that_are_kept_are_counted_and_others_are_not(tmp_path, keep, alive):
    trained(tmp_path / "run.convdebug", keep=keep)
    with Session.open(tmp_path / "run.convdebug") as session:
        _, values = session.series("graph/alive")
    assert values[-1] == alive if keep else values.max() <= alive


@pytest.mark.parametrize("keep", [lambda hidden: hidden, lambda hidden: hidden.detach()], ids=["kept", "let go"])
def test_the_graphs_of_hidden_values_that_are_kept_are_counted_though_those_of_the_scores_go(tmp_path, keep):
    class KeepsHidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head, self.kept = net(), nn.Linear(3, 3), []

        def forward(self, inputs):
            hidden = self.body(inputs)
            self.kept.append(keep(hidden))
            return self.head(hidden.relu())

    model = KeepsHidden()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        for inputs, labels in batches(20):
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    with Session.open(tmp_path / "run.convdebug") as session:
        (_, ends), (_, alive) = session.series("graph/alive"), session.series("graph/alive_inside")
    assert ends.max() <= 2
    assert alive[-1] == 7 if keep(loss) is loss else alive.max() <= 2


@pytest.mark.parametrize("mode", [True, False], ids=["training mode", "evaluation mode"])
@pytest.mark.parametrize("keep", [False, True], ids=["let go", "kept"])
def test_graphs_of_evaluations_are_counted_by_themselves(tmp_path, keep, mode):
    model, kept = net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        for step, (inputs, labels) in enumerate(batches(120)):
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 4 == 0:
                model.train(mode)
                found = nn.functional.cross_entropy(model(inputs), labels)
                kept.append(found if keep else found.item())
                model.train()
            watched.step(loss)
    with Session.open(tmp_path / "run.convdebug") as session:
        marked, alive = (session.series(f"graph/{what}_aside")[1] for what in ("marked", "alive"))
        rules = [each.rule for each in diagnose(session)]
        assert session.series("graph/alive")[1].max() <= 2
    assert marked[-1] == 30
    assert alive[-1] == 30 if keep else alive.max() <= 2
    assert ("graph-kept-alive" in rules) == keep


def test_validation_examples_that_were_trained_on_are_counted(tmp_path):
    known, fresh = batches(4)[1][0], torch.randn(5, 6, generator=torch.Generator().manual_seed(9))
    trained(tmp_path / "run.convdebug", steps=4, evaluate=[known, fresh])
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.series("examples/validation")[1][-1] == 13
        assert session.series("examples/shared")[1][-1] == 8


def test_in_a_loop_of_ones_own_an_evaluation_may_be_of_the_training_data(tmp_path):
    trained(tmp_path / "run.convdebug", steps=4, evaluate=[batches(4)[1][0]], source="watch")
    with Session.open(tmp_path / "run.convdebug") as session:
        assert "examples/shared" not in session.series_names()


def test_a_copy_of_a_watched_model_can_be_made_at_any_time(tmp_path):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", info={"source": "target"}):
        assert len(copy.deepcopy(model)(torch.randn(2, 6))) == 2


def test_the_same_batch_is_judged_without_dropout(tmp_path):
    trained(tmp_path / "run.convdebug")
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.runs[0].info["dropout"] == {"2": pytest.approx(0.8)}
        _, with_it = session.series("dropout/training_loss")
        _, losses = session.series("train/loss")
        _, without = session.series("dropout/evaluation_loss")
    assert len(with_it) > 3
    assert with_it[0] == pytest.approx(losses[0], rel=1e-5)
    assert not np.allclose(with_it, without)


def test_fingerprints_tell_examples_apart_and_know_them_again():
    examples = torch.randint(0, 2, (300, 1, 8, 8), generator=torch.Generator().manual_seed(0)).float()
    prints = Fingerprints()
    found = {tuple(row) for row in prints.of([examples]).tolist()}
    assert len(found) == len({tuple(row) for row in examples.flatten(1).tolist()})
    assert torch.equal(prints.of([examples.flip(0)]), prints.of([examples]).flip(0))


class Noisy(Dataset):
    def __init__(self, source):
        self.rng = source

    def __getitem__(self, index):
        return index + self.rng.random()


class Seeding(Noisy):
    def __getitem__(self, index):
        torch.utils.data.get_worker_info()
        return index + self.rng.random()


class Making(Noisy):
    """Draws while it is made, and never again."""

    def __init__(self, source):
        super().__init__(source)
        self.values = self.rng.random(4)

    def __getitem__(self, index):
        return self.values[index]


class Wrapped(Dataset):
    def __init__(self, inner):
        self.parts = [inner]


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (Noisy(np.random.default_rng(0)), ["rng"]),
        (Wrapped(Noisy(np.random.default_rng(0))), ["parts[0].rng"]),
        (Noisy(torch.Generator()), ["rng"]),
        (Seeding(np.random.default_rng(0)), []),
        (Making(np.random.default_rng(0)), []),
        (Noisy(None), []),
        (torch.utils.data.TensorDataset(torch.zeros(3)), []),
    ],
)
def test_generators_that_workers_get_as_copies_are_named(data, names):
    assert list(shared_generators(data)) == names


def test_calls_that_wait_for_a_number_are_timed_and_put_back():
    readings = iter(range(100))
    waiting = WaitingCalls(lambda tensor: tensor.numel() == 1, lambda: float(next(readings)))
    own = {name: torch.Tensor.__dict__.get(name) for name in ("item", "__float__", "cpu")}
    waiting.start()
    try:
        value = torch.tensor(2.5)
        assert (value.item(), float(value), value.cpu().item(), torch.zeros(2).tolist()) == (2.5, 2.5, 2.5, [0, 0])
    finally:
        waiting.stop()
    assert (waiting.calls, waiting.seconds) == (4, 4.0)
    assert own == {name: torch.Tensor.__dict__.get(name) for name in own}


class OneLayerAgain(nn.Module):
    def __init__(self, times):
        super().__init__()
        self.again, self.times, self.seen = nn.Linear(6, 6), times, []

    def forward(self, inputs):
        self.seen = []
        for _ in range(self.times):
            inputs = torch.relu(self.again(inputs))
            self.seen.append(inputs.std(correction=0).item())
        return inputs


def test_a_function_behind_one_layer_is_measured_at_each_of_its_calls_through_all_depth(tmp_path):
    model = OneLayerAgain(25)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    inputs, labels = batches(1)[0]
    with watch(model, optimizer, session=tmp_path / "again.convdebug", every=1) as watched:
        loss = nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        watched.step(loss)
    names = ["again.relu", *(f"again.relu.{call}" for call in range(2, 26))]
    with Session.open(tmp_path / "again.convdebug") as session:
        found = [float(session.series(f"activation/{name}/std")[1][0]) for name in names]
    assert found == pytest.approx(model.seen, rel=1e-4, abs=1e-7)
