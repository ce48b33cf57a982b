"""Loops as people write them that look ill and are not: none may carry an error or a warning."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import convdebug
from convdebug.rules import diagnose
from convdebug_sessions import Session

ENTROPY = nn.CrossEntropyLoss()
PATTERNS = torch.randn(10, 3, 6, 6, generator=torch.Generator().manual_seed(5))
HEALTHY = {}


def healthy(loop):
    """Register a loop; it is given the path of the session."""
    HEALTHY[loop.__name__.replace("_", " ")] = loop
    return loop


def batches(count, size=32, classes=10):
    """Learnable pictures (N, 3, 6, 6) and their classes."""
    for _ in range(count):
        labels = torch.randint(0, classes, (size,))
        yield torch.randn(size, 3, 6, 6) + PATTERNS[labels], labels


def loaded(count, batch=32):
    """The pictures by a DataLoader."""
    inputs, labels = (torch.cat(parts) for parts in zip(*batches(count), strict=True))
    return DataLoader(TensorDataset(inputs, labels), batch)


def net(outputs=10, modes=False):
    middle = [nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2)] if modes else [nn.ReLU()]
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *middle, nn.Flatten(), nn.Linear(288, outputs))


def sgd(parameters, lr=0.02):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def train(path, model, optimizer, loss_of, zero=None, data=None, **options):
    zero = zero or optimizer.zero_grad
    with convdebug.watch(model, optimizer, session=path, every=1, **options) as watched:
        for inputs, labels in data or batches(40):
            loss = loss_of(model(inputs), labels)
            zero()
            loss.backward()
            optimizer.step()
            watched.step(loss)


def severe(path):
    with Session.open(path) as session:
        broken = [event.data for event in session.events(kinds=["instrument-failed"])]
        found = [(each.rule, each.message) for run in session.runs for each in diagnose(session, run.id)
                 if each.severity != "info"]  # fmt: skip
    return broken + found


@pytest.mark.parametrize("name", ["none", "zeros", "model", "by hand", "foreach", "after the step"])
def test_any_way_of_zeroing_is_seen(tmp_path, name):
    model = net()
    optimizer = sgd(model.parameters())
    parameters = list(model.parameters())

    def by_hand():
        for parameter in parameters:
            parameter.grad = None

    def foreach():
        if parameters[0].grad is not None:
            torch._foreach_zero_([p.grad for p in parameters])

    ways = {
        "none": optimizer.zero_grad,
        "zeros": lambda: optimizer.zero_grad(set_to_none=False),
        "model": model.zero_grad,
        "by hand": by_hand,
        "foreach": foreach,
        "after the step": lambda: None,
    }
    if name == "after the step":
        optimizer.register_step_post_hook(lambda *_: by_hand())
    path = tmp_path / "run.convdebug"
    train(path, model, optimizer, ENTROPY, ways[name])
    assert severe(path) == []
    with Session.open(path) as session:
        seen = "optimizer/0/carried" in session.series_names()
        assert seen == (name != "after the step")
        assert not seen or session.series("optimizer/0/carried")[1].max() == 0


@healthy
def deliberate_accumulation(path):
    model = net()
    optimizer = sgd(model.parameters())
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number, (inputs, labels) in enumerate(batches(120, size=8)):
            loss = F.cross_entropy(model(inputs), labels) / 4
            loss.backward()
            if number % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
            watched.step(loss)


@healthy
def two_adversaries(path):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.maker = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
            self.judge = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))

        def forward(self, noise):
            return self.maker(noise)

    model = Both()
    making = torch.optim.Adam(model.maker.parameters(), lr=1e-3)
    judging = torch.optim.Adam(model.judge.parameters(), lr=1e-3)
    ones, zeros = torch.ones(64, 1), torch.zeros(64, 1)
    with convdebug.watch(model, [making, judging], session=path, every=1) as watched:
        for _ in range(40):
            real = torch.randn(64, 2) * 0.3 + torch.tensor([1.0, -1.0])
            with torch.no_grad():
                fake = model(torch.randn(64, 8))
            judging.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model.judge(real), ones)
            loss = 0.5 * (loss + F.binary_cross_entropy_with_logits(model.judge(fake), zeros))
            loss.backward()
            judging.step()
            making.zero_grad()
            F.binary_cross_entropy_with_logits(model.judge(model(torch.randn(64, 8))), ones).backward()
            making.step()
            watched.step(loss)


@healthy
def a_frozen_backbone_that_the_optimizer_does_not_hold(path):
    model = net(modes=True)
    model[:5].requires_grad_(False).eval()
    model.train = lambda mode=True: model
    train(path, model, sgd(model[-1].parameters()), ENTROPY)


@healthy
def a_frozen_backbone_that_the_optimizer_holds(path):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 10))
    model[:4].requires_grad_(False)
    train(path, model, sgd(model.parameters()), ENTROPY)


@healthy
def a_head_trained_on_features_that_nobody_froze(path):
    layers = [part for _ in range(3) for part in (nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(108, 10))
    train(path, model, sgd(model[-1].parameters()), ENTROPY)


@healthy
def fine_tuning_of_what_was_learned_before(path):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    for inputs, labels in batches(150):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    train(path, model, sgd(model.parameters(), 1e-3), ENTROPY)


@healthy
def batch_norm_kept_in_evaluation_mode(path):
    class Kept(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            return self[1].eval() and self

    model = Kept(*net(modes=True)).train()
    train(path, model, sgd(model.parameters()), ENTROPY)


@healthy
def a_quasi_newton_closure(path):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=5)
    inputs = torch.randn(64, 4)
    labels = inputs.sum(1, keepdim=True)

    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(model(inputs), labels)
        loss.backward()
        return loss

    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(20):
            watched.step(optimizer.step(closure))


@healthy
def dropout_left_on_to_sample_answers(path):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    held_out = next(batches(1))
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number, (inputs, labels) in enumerate(batches(40)):
            model.train()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            if number % 10 == 9:
                model.eval()
                model[3].train()
                with torch.no_grad():
                    mean = torch.stack([model(held_out[0]).softmax(1) for _ in range(8)]).mean(0)
                    F.nll_loss(mean.log(), held_out[1])
            watched.step(loss)


@healthy
def a_validation_that_remembers_its_modes(path):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number, (inputs, labels) in enumerate(batches(40)):
            model.train()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            watched.step(loss)
            if number % 10 == 9:
                model.eval()
                with torch.no_grad():
                    found = [F.cross_entropy(model(inputs), labels) for inputs, labels in batches(3)]
                watched.validation(loss=torch.stack(found).mean())


@healthy
def attacks_made_in_evaluation_mode(path):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for inputs, labels in batches(40):
            model.eval()
            inputs.requires_grad_(True)
            direction = torch.autograd.grad(F.cross_entropy(model(inputs), labels), inputs)[0].sign()
            model.train()
            optimizer.zero_grad()
            loss = F.cross_entropy(model((inputs + 0.01 * direction).detach()), labels)
            loss.backward()
            optimizer.step()
            watched.step(loss)


@healthy
def attacks_of_many_backward_passes(path):
    model = net()
    optimizer = sgd(model.parameters(), 0.05)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for inputs, labels in loaded(30):
            moved = inputs.clone().requires_grad_(True)
            for _ in range(20):
                F.cross_entropy(model(moved), labels).backward()
                moved.data += 1e-3 * moved.grad.sign()
                moved.grad = None
                model.zero_grad()
            loss = F.cross_entropy(model(moved.detach()), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            watched.step(loss)


@healthy
def gradients_of_single_examples_averaged_by_hand(path):
    model = net()
    optimizer = sgd(model.parameters(), 0.05)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        sums, losses = [torch.zeros_like(each) for each in model.parameters()], []
        for number, (inputs, labels) in enumerate(loaded(20, batch=1), 1):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            losses.append(loss.detach())
            for total, each in zip(sums, model.parameters(), strict=True):
                total += each.grad / each.grad.norm().clamp_min(1.0)
            if number % 16 == 0:
                for total, each in zip(sums, model.parameters(), strict=True):
                    each.grad = total / 16
                    total.zero_()
                optimizer.step()
                watched.step(torch.stack(losses).mean())
                losses.clear()


@healthy
def gradients_of_single_examples_written_into_those_that_are_there(path):
    model = net()
    optimizer = sgd(model.parameters(), 0.05)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        sums = [torch.zeros_like(each) for each in model.parameters()]
        for number, (inputs, labels) in enumerate(loaded(20, batch=1), 1):
            optimizer.zero_grad(set_to_none=False)
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            for total, each in zip(sums, model.parameters(), strict=True):
                total += each.grad / 16
            if number % 16 == 0:
                for total, each in zip(sums, model.parameters(), strict=True):
                    each.grad.copy_(total)
                    total.zero_()
                optimizer.step()
                watched.step(loss)


@healthy
def sums_of_gradients_clipped_after_each_pass(path):
    model = net()
    optimizer = sgd(model.parameters(), 0.05)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number, (inputs, labels) in enumerate(loaded(160), 1):
            loss = F.cross_entropy(model(inputs), labels) / 16
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            if number % 16 == 0:
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
                watched.step(loss)


@healthy
def gradients_looked_at_before_the_training(path):
    model = net()
    optimizer = sgd(model.parameters(), 0.05)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for inputs, labels in loaded(120):
            F.cross_entropy(model(inputs), labels).backward()
            model.zero_grad()
        for inputs, labels in loaded(10):
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            watched.step(loss)


@healthy
def a_tiny_sorted_data_set(path):
    labels = torch.arange(10).repeat_interleave(2)
    inputs = torch.randn(20, 3, 6, 6) + PATTERNS[labels]
    parts = list(zip(inputs.split(4), labels.split(4), strict=True))
    model = net()
    train(path, model, sgd(model.parameters(), 0.005), ENTROPY, data=itertools.islice(itertools.cycle(parts), 60))


@healthy
def full_batches_validated_at_every_step(path):
    (inputs, labels), (others, of_others) = batches(2, size=100)
    order = labels.argsort()
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(40):
            model.train()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs[order]), labels[order])
            loss.backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                held_out = F.cross_entropy(model(others), of_others)
            watched.step(loss)
            watched.validation(loss=held_out)


@healthy
def words_in_a_row(path):
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(50, 16)
            self.rnn = nn.LSTM(16, 32, num_layers=2, dropout=0.2, batch_first=True)
            self.head = nn.Linear(32, 50)

        def forward(self, words):
            return self.head(self.rnn(self.embedding(words))[0])

    model = Words()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(40):
            words = (torch.randint(0, 50, (4, 1)) + torch.arange(21)) % 5 + 5 * torch.randint(0, 10, (4, 1))
            loss = F.cross_entropy(model(words[:, :-1]).reshape(-1, 50), words[:, 1:].reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)


@healthy
def embeddings_of_which_few_rows_are_used(path):
    model = nn.Sequential(nn.EmbeddingBag(1000, 16, sparse=True, mode="mean"), nn.Linear(16, 10))
    sparse, dense = torch.optim.SparseAdam(model[0].parameters(), lr=0.01), sgd(model[1].parameters())
    with convdebug.watch(model, [sparse, dense], session=path, every=1) as watched:
        for _ in range(40):
            labels = torch.randint(0, 10, (32,))
            loss = F.cross_entropy(model(labels.unsqueeze(1) + 10 * torch.randint(0, 3, (32, 4))), labels)
            for optimizer in (sparse, dense):
                optimizer.zero_grad()
            loss.backward()
            for optimizer in (sparse, dense):
                optimizer.step()
            watched.step(loss)


@healthy
def two_heads_that_take_turns(path):
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.first, self.second = net(32), nn.Linear(32, 10), nn.Linear(32, 10)

        def forward(self, inputs, second):
            hidden = torch.relu(self.body(inputs))
            return self.second(hidden) if second else self.first(hidden)

    model = Heads()
    optimizer = sgd(model.parameters(), 0.005)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number, (inputs, labels) in enumerate(batches(60)):
            loss = F.cross_entropy(model(inputs, number >= 30), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)


@healthy
def a_scaler_that_looks_for_its_scale(path):
    model = net()
    optimizer = sgd(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number, (inputs, labels) in enumerate(batches(60)):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), labels)
            scaler.scale(loss).backward()
            if number < 5:
                model[0].weight.grad[0] = float("inf")
            scaler.step(optimizer)
            scaler.update()
            watched.step(loss)


def teacher_of(classes):
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(108, classes))


LOSSES = {
    "label smoothing": lambda scores, labels: F.cross_entropy(scores, labels, label_smoothing=0.1),
    "soft targets": lambda scores, labels: F.cross_entropy(scores, F.one_hot(labels, 10) * 0.9 + 0.01),
    "logarithms of probabilities": lambda scores, labels: F.nll_loss(scores.softmax(1).log(), labels),
    "log softmax twice": lambda scores, labels: F.cross_entropy(scores.log_softmax(1), labels),
    "probabilities": lambda scores, labels: F.binary_cross_entropy(scores.sigmoid(), F.one_hot(labels, 10).float()),
    "logits": lambda scores, labels: F.binary_cross_entropy_with_logits(scores, F.one_hot(labels, 10).float()),
    "mean squares": lambda scores, labels: F.mse_loss(scores, F.one_hot(labels, 10).float()),
    "squares against one number": lambda scores, labels: F.mse_loss(scores.mean(1), labels.float()[:1].squeeze(0)),
    "distillation": lambda scores, labels: F.cross_entropy(scores, labels) + F.kl_div(
        (scores / 2).log_softmax(1), (3.0 * F.one_hot(labels, 10)).softmax(1), reduction="batchmean"
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_is_given_what_it_expects(tmp_path, name):
    torch.manual_seed(0)
    model = net()
    path = tmp_path / "run.convdebug"
    train(path, model, sgd(model.parameters()), LOSSES[name])
    assert severe(path) == []


def answers(missing=0.0):
    """Pictures and answers (N, 1), of which some are missing: -1."""
    for inputs, labels in batches(40):
        unknown = torch.rand(len(labels), 1) < missing
        yield inputs, torch.where(unknown, -1.0, (labels[:, None] < 5).float())


@healthy
def missing_answers_that_a_mask_leaves_out(path):
    def loss_of(scores, labels):
        return F.binary_cross_entropy_with_logits(scores, labels, reduction="none")[labels >= 0].mean()

    model = net(outputs=1)
    train(path, model, sgd(model.parameters()), loss_of, data=answers(missing=0.3))


@healthy
def missing_answers_whose_weight_is_zero(path):
    def loss_of(scores, labels):
        return F.binary_cross_entropy_with_logits(scores, labels, weight=(labels >= 0).float())

    model = net(outputs=1)
    train(path, model, sgd(model.parameters()), loss_of, data=answers(missing=0.3))


@healthy
def rare_answers_in_batches_of_eight(path):
    def rare():
        for inputs, labels in batches(40, size=8):
            yield inputs, (labels[:, None] == 0).float()

    model = net(outputs=1)
    train(path, model, sgd(model.parameters()), nn.BCEWithLogitsLoss(), data=rare())


@healthy
def noisy_labels_a_little_outside_of_yes_and_no(path):
    def noisy():
        for inputs, labels in batches(40):
            yield inputs, (labels[:, None] < 5).float() + 0.3 * torch.rand(len(labels), 1)

    model = net(outputs=1)
    train(path, model, sgd(model.parameters()), nn.BCEWithLogitsLoss(), data=noisy())


@healthy
def a_teacher_in_training_mode_without_gradients(path):
    model, teacher = net(modes=True), net(modes=True)
    optimizer = sgd(model.parameters())
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for inputs, labels in batches(40):
            with torch.no_grad():
                teacher(inputs)
                guess = model(inputs + 0.1 * torch.randn_like(inputs)).softmax(1)
            scores = model(inputs)
            loss = F.cross_entropy(scores, labels) + 0.1 * F.mse_loss(scores.softmax(1), guess)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)


@healthy
def a_teacher_in_training_mode_beside_validations_in_evaluation_mode(path):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number, (inputs, labels) in enumerate(batches(60), 1):
            with torch.no_grad():
                guess = model(inputs + 0.1 * torch.randn_like(inputs)).softmax(1)
            scores = model(inputs)
            loss = F.cross_entropy(scores, labels) + 0.1 * F.mse_loss(scores.softmax(1), guess)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
            if number % 15 == 0:
                model.eval()
                with torch.no_grad():
                    inputs, labels = next(batches(1, size=96))
                    watched.validation(loss=F.cross_entropy(model(inputs), labels))
                model.train()


@healthy
def statistics_of_batch_norm_gathered_anew_at_the_end(path):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for inputs, labels in batches(40):
            loss = F.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
        torch.optim.swa_utils.update_bn([inputs for inputs, _ in batches(5)], model)


@healthy
def weights_moved_by_hand(path):
    model = net()
    with convdebug.watch(model, session=path, every=1) as watched:
        for inputs, labels in batches(40):
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.05 * parameter.grad
                    parameter.grad = None
            watched.step(loss)


@healthy
def pixels_with_classes_of_their_own(path):
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
    optimizer = sgd(model.parameters())
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number in range(40):
            labels = torch.zeros(2, 6, 6, dtype=torch.int64)
            labels[0, number % 5 :], labels[1, :, 4:] = 1 + number // 20, 3
            loss = F.cross_entropy(model(torch.randn(2, 3, 6, 6) + labels.unsqueeze(1)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_loop_carries_no_error_and_no_warning(tmp_path, name):
    torch.manual_seed(0)
    path = tmp_path / "run.convdebug"
    HEALTHY[name](path)
    assert severe(path) == []
