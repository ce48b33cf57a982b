"""Ill loops of other people, watched with two lines: the illness is named first, at the default budget too."""

import copy
import time
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import convdebug
from convdebug.rules import diagnose
from convdebug_sessions import Recorder, Session

ENTROPY = nn.CrossEntropyLoss()
PATTERNS = torch.randn(10, 3, 6, 6, generator=torch.Generator().manual_seed(5))
SICK = {}


def sick(rule, severity):
    """Register an ill loop with what is to be said of it first; it is given `watch` with the session in it."""

    def register(loop):
        SICK[loop.__name__.replace("_", " ")] = (loop, rule, severity)
        return loop

    return register


def batches(count, size=32):
    """Learnable pictures (N, 3, 6, 6) and their classes."""
    for _ in range(count):
        labels = torch.randint(0, 10, (size,))
        yield torch.randn(size, 3, 6, 6) + PATTERNS[labels], labels


def net(modes=False):
    middle = [nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2)] if modes else [nn.ReLU()]
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *middle, nn.Flatten(), nn.Linear(288, 10))


def sgd(parameters, lr=0.02):
    return torch.optim.SGD(parameters, lr=lr)


def step_of(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def train(watch, model, optimizer=None, loss_of=ENTROPY, step=step_of, data=None, steps=60):
    optimizer = optimizer or sgd(model.parameters())
    with watch(model, optimizer) as watched:
        for inputs, labels in data or batches(steps):
            loss = loss_of(model(inputs), labels)
            step(optimizer, loss)
            watched.step(loss)


@sick("gradients-accumulate", "error")
def gradients_never_zeroed(watch):
    def step(optimizer, loss):
        loss.backward()
        optimizer.step()

    model = net()
    train(watch, model, torch.optim.Adam(model.parameters(), lr=1e-3), step=step)


@sick("gradients-accumulate", "error")
def gradients_zeroed_once_an_epoch(watch):
    model = net()
    optimizer = sgd(model.parameters(), 1e-3)
    with watch(model, optimizer) as watched:
        for number, (inputs, labels) in enumerate(batches(60)):
            if number % 20 == 0:
                optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            watched.step(loss)


@sick("gradients-accumulate", "error")
def one_of_two_optimizers_never_zeroed(watch):
    model = nn.ModuleDict({"maker": nn.Linear(8, 2), "judge": nn.Linear(2, 1)})
    making, judging = sgd(model["maker"].parameters(), 1e-3), sgd(model["judge"].parameters(), 1e-3)
    with watch(model, [making, judging]) as watched:
        for _ in range(60):
            fake = model["maker"](torch.randn(64, 8))
            loss = (
                model["judge"](fake.detach()).square().mean() + (model["judge"](torch.randn(64, 2)) - 1).square().mean()
            )
            step_of(judging, loss)
            (model["judge"](fake) - 1).square().mean().backward()
            making.step()
            watched.step(loss)


@sick("parameters-not-in-optimizer", "error")
def a_head_replaced_after_the_optimizer_was_made(watch):
    model = net()
    optimizer = sgd(model.parameters())
    model[-1] = nn.Linear(288, 10)
    train(watch, model, optimizer)


@sick("parameters-not-in-optimizer", "error")
def a_model_made_anew_after_its_optimizer(watch):
    train(watch, net(), sgd(net().parameters()))


@sick("parameters-not-in-optimizer", "warning")
def biases_left_out_of_the_optimizer(watch):
    model = net()
    train(watch, model, sgd([p for name, p in model.named_parameters() if "bias" not in name]))


class Branched(nn.Module):
    """Two convolutions and a head; `way` is what goes wrong between them."""

    def __init__(self, way):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.spare, self.head = nn.Conv2d(8, 8, 1), nn.Linear(288, 10)
        self.way = way

    def forward(self, inputs):
        hidden = torch.relu(self.conv1(inputs))
        hidden = torch.relu(self.conv2(self.spare(hidden)))
        return self.head(self.way(self, hidden).flatten(1))


@sick("no-gradient", "error")
def a_layer_behind_a_detach(watch):
    train(watch, Branched(lambda model, hidden: hidden.detach()))


@sick("no-gradient", "warning")
def a_layer_that_forward_forgets(watch):
    class Forgetful(Branched):
        def forward(self, inputs):
            return self.head(torch.relu(self.conv2(torch.relu(self.conv1(inputs)))).flatten(1))

    train(watch, Forgetful(None))


@sick("frozen-parameters", "warning")
def a_layer_left_frozen_between_others(watch):
    model = Branched(lambda model, hidden: hidden)
    model.spare.requires_grad_(False)
    train(watch, model)


@sick("frozen-parameters", "warning")
def updates_too_small_for_their_precision(watch):
    model = net().to(torch.bfloat16)
    data = ((inputs.bfloat16(), labels) for inputs, labels in batches(60))
    train(watch, model, sgd(model.parameters(), 1e-9), data=data)


@sick("eval-mode-while-training", "warning")
def evaluation_mode_kept_after_the_first_validation(watch):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    with watch(model, optimizer) as watched:
        for number, (inputs, labels) in enumerate(batches(70)):
            loss = F.cross_entropy(model(inputs), labels)
            step_of(optimizer, loss)
            watched.step(loss)
            if number == 20:
                model.eval()


@sick("eval-mode-while-training", "warning")
def an_evaluation_before_the_first_step_and_training_mode_after_the_next_one(watch):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    model.eval()
    with watch(model, optimizer) as watched:
        for number, (inputs, labels) in enumerate(batches(70)):
            loss = F.cross_entropy(model(inputs), labels)
            step_of(optimizer, loss)
            watched.step(loss)
            if number == 20:
                model.train()


@sick("train-mode-while-validating", "warning")
def a_validation_without_eval(watch):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    with watch(model, optimizer) as watched:
        for number, (inputs, labels) in enumerate(batches(60)):
            loss = F.cross_entropy(model(inputs), labels)
            step_of(optimizer, loss)
            watched.step(loss)
            if number % 20 == 19:
                with torch.no_grad():
                    for inputs, labels in batches(3):
                        F.cross_entropy(model(inputs), labels)


@sick("train-mode-while-validating", "warning")
def an_accuracy_counted_by_hand_without_eval(watch):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    with watch(model, optimizer) as watched:
        for number, (inputs, labels) in enumerate(batches(60)):
            loss = F.cross_entropy(model(inputs), labels)
            step_of(optimizer, loss)
            watched.step(loss)
            if number % 20 == 19:
                with torch.no_grad():
                    right = [(model(inputs).argmax(1) == labels).float().mean() for inputs, labels in batches(3)]
                watched.validation(accuracy=torch.stack(right).mean())


@sick("train-mode-while-validating", "info")
def a_copy_put_into_evaluation_mode_while_the_model_is_asked(watch):
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    with watch(model, optimizer) as watched:
        for number, (inputs, labels) in enumerate(batches(60)):
            step_of(optimizer, loss := F.cross_entropy(model(inputs), labels))
            watched.step(loss)
            if number % 15 == 14:
                copy.deepcopy(model).eval()
                with torch.no_grad():
                    model(next(batches(1, size=96))[0])


@sick("train-mode-while-validating", "warning")
def full_batches_validated_without_eval_at_every_step(watch):
    inputs, labels = next(batches(1, size=96))
    model = net(modes=True)
    optimizer = sgd(model.parameters())
    with watch(model, optimizer) as watched:
        for _ in range(40):
            step_of(optimizer, loss := F.cross_entropy(model(inputs), labels))
            watched.step(loss)
            with torch.no_grad():
                held_out = model(inputs + 0.5)
            watched.validation(accuracy=(held_out.argmax(1) == labels).float().mean())


@sick("optimizer-not-stepping", "error")
def a_scheduler_that_steps_instead_of_the_optimizer(watch):
    model = net()
    optimizer = sgd(model.parameters())
    optimizer.step()  # so that torch does not warn about the order
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1000)

    def step(optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer._opt_called = True
        scheduler.step()

    train(watch, model, optimizer, step=step, steps=100)


@sick("optimizer-not-stepping", "error")
def a_dozen_backward_passes_and_no_step(watch):
    train(watch, net(), step=lambda optimizer, loss: loss.backward(), steps=12)


def loaded(count):
    """The pictures by a DataLoader."""
    inputs, labels = (torch.cat(parts) for parts in zip(*batches(count), strict=True))
    return DataLoader(TensorDataset(inputs, labels), 32)


@sick("optimizer-not-stepping", "error")
def a_step_behind_all_batches(watch):
    model = net()
    optimizer = sgd(model.parameters())
    with watch(model, optimizer) as watched:
        for inputs, labels in loaded(70):
            optimizer.zero_grad()
            loss = ENTROPY(model(inputs), labels)
            loss.backward()
            watched.step(loss)
        optimizer.step()


@sick("optimizer-not-stepping", "error")
def a_step_behind_the_batches_of_each_epoch(watch):
    model = net()
    optimizer = sgd(model.parameters())
    with watch(model, optimizer) as watched:
        for _ in range(5):
            for inputs, labels in loaded(20):
                optimizer.zero_grad(set_to_none=False)
                loss = ENTROPY(model(inputs), labels)
                loss.backward()
                watched.step(loss)
            optimizer.step()


@sick("steps-skipped", "warning")
def a_scaler_that_skips_every_third_step(watch):
    model = net()
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    count = iter(range(1000))

    def step(optimizer, loss):
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        if next(count) % 3 == 2:
            model[0].weight.grad[0] = float("inf")
        scaler.step(optimizer)
        scaler.update()

    train(watch, model, step=step, steps=90)


@sick("loss-expects-log-probabilities", "error")
def likelihood_of_probabilities(watch):
    train(watch, net(), loss_of=lambda scores, labels: F.nll_loss(scores.softmax(1), labels))


@sick("loss-expects-log-probabilities", "error")
def divergence_of_probabilities(watch):
    def loss_of(scores, labels):
        return F.kl_div(scores.softmax(1), (3.0 * F.one_hot(labels, 10)).softmax(1), reduction="batchmean")

    train(watch, net(), loss_of=loss_of)


@sick("double-softmax", "warning")
def softmax_before_cross_entropy(watch):
    model = nn.Sequential(net(), nn.Softmax(dim=1))
    train(watch, model, sgd(model.parameters(), 0.3), steps=100)


@sick("double-sigmoid", "warning")
def sigmoid_before_logits(watch):
    model = nn.Sequential(net(), nn.Linear(10, 1), nn.Sigmoid())

    def loss_of(scores, labels):
        return F.binary_cross_entropy_with_logits(scores.squeeze(1), (labels < 5).float())

    train(watch, model, sgd(model.parameters(), 0.3), loss_of)


@sick("loss-shape-broadcast", "error")
def one_column_against_a_row(watch):
    def loss_of(outputs, labels):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return F.smooth_l1_loss(outputs, labels / 10)

    train(watch, nn.Sequential(net(), nn.Linear(10, 1)), loss_of=loss_of)


@sick("loss-shape-broadcast", "error")
def a_row_against_a_column_by_hand(watch):
    def loss_of(outputs, labels):
        return ((labels[:, None] / 10 - outputs.squeeze()) ** 2).mean()

    train(watch, nn.Sequential(net(), nn.Linear(10, 1)), loss_of=loss_of)


@sick("unshuffled-batches", "warning")
def one_class_after_the_other(watch):
    def sorted_data():
        for number in range(120):
            labels = torch.full((32,), number // 6 % 10)
            yield torch.randn(32, 3, 6, 6) + PATTERNS[labels], labels

    model = net()
    train(watch, model, sgd(model.parameters(), 1e-3), data=sorted_data())


@sick("unshuffled-batches", "warning")
def another_class_in_every_batch(watch):
    def grouped_data():
        for number in range(120):
            labels = torch.full((32,), number * 7 % 10)
            yield torch.randn(32, 3, 6, 6) + PATTERNS[labels], labels

    model = net()
    train(watch, model, sgd(model.parameters(), 1e-3), data=grouped_data())


@sick("unshuffled-batches", "warning")
def one_class_after_the_other_given_as_shares(watch):
    def sorted_data():
        for number in range(120):
            labels = torch.full((32,), number // 6 % 10)
            yield torch.randn(32, 3, 6, 6) + PATTERNS[labels], F.one_hot(labels, 10).float()

    model = net()
    train(watch, model, sgd(model.parameters(), 1e-3), data=sorted_data())


@sick("unshuffled-batches", "warning")
def sorted_examples_of_which_two_are_mixed(watch):
    def sorted_data():
        for number in range(120):
            labels = number // 6 % 10 + torch.randint(0, 2, (32,))
            inputs, shares = torch.randn(32, 3, 6, 6) + PATTERNS[labels % 10], F.one_hot(labels % 10, 10) * 0.9 + 0.01
            other = torch.randperm(32)
            yield 0.8 * inputs + 0.2 * inputs[other], 0.8 * shares + 0.2 * shares[other]

    model = net()
    train(watch, model, sgd(model.parameters(), 1e-3), data=sorted_data())


@sick("unshuffled-batches", "warning")
def the_answers_no_before_the_answers_yes(watch):
    def sorted_data():
        for number in range(120):
            labels = torch.full((32, 1), float(number // 20 % 2))
            yield torch.randn(32, 3, 6, 6) + PATTERNS[labels[:, 0].long()], labels

    model = nn.Sequential(net(), nn.Linear(10, 1))
    train(watch, model, sgd(model.parameters(), 1e-3), nn.BCEWithLogitsLoss(), data=sorted_data())


def yes_or_no(no, yes):
    for inputs, labels in batches(60):
        yield inputs, torch.where(labels[:, None] < 5, no, yes).float()


@sick("label-out-of-range", "error")
def masks_of_255(watch):
    model = nn.Sequential(net(), nn.Linear(10, 1))
    train(watch, model, torch.optim.Adam(model.parameters()), nn.BCEWithLogitsLoss(), data=yes_or_no(0, 255))


@sick("label-out-of-range", "error")
def minus_one_and_one_for_a_binary_loss(watch):
    model = nn.Sequential(net(), nn.Linear(10, 1))
    train(watch, model, torch.optim.Adam(model.parameters()), nn.BCEWithLogitsLoss(), data=yes_or_no(-1, 1))


@sick("loss-summed-over-batch", "warning")
def a_loss_that_is_summed(watch):
    model = net()

    def loss_of(scores, labels):
        return F.cross_entropy(scores, labels, reduction="sum")

    train(watch, model, sgd(model.parameters(), 5e-4), loss_of)


@sick("loss-summed-over-batch", "warning")
def squares_that_are_summed_and_overshoot(watch):
    model = nn.Sequential(net(), nn.Linear(10, 1))

    def loss_of(outputs, labels):
        return F.mse_loss(outputs.squeeze(1), labels / 10, reduction="sum")

    train(watch, model, sgd(model.parameters(), 0.05), loss_of)


@sick("regularization-dominates", "warning")
def a_penalty_by_hand_at_full_weight(watch):
    model = net()

    def loss_of(scores, labels):
        return ENTROPY(scores, labels) + sum(parameter.pow(2).sum() for parameter in model.parameters())

    train(watch, model, sgd(model.parameters(), 0.05), loss_of, steps=120)


def test_a_loop_that_waits_for_its_data_is_told_so(tmp_path):
    def slow():
        for batch in batches(25):
            time.sleep(0.03)
            yield batch

    path = tmp_path / "run.convdebug"
    train(lambda model, optimizer: convdebug.watch(model, optimizer, session=path, every=1), net(), data=slow())
    with Session.open(path) as session:
        assert [each.rule for each in diagnose(session)] == ["data-bound"]


@pytest.mark.parametrize(
    ("data_s", "usual_s", "expected"),
    [(0.03, 0.036, ["data-bound"]), (0.03, 0.008, []), (0.002, 0.036, [])],
    ids=["waits at every step", "waits where it is measured", "works at every step"],
)
def test_a_short_run_is_judged_by_the_clock_at_every_step(tmp_path, synthetic, data_s, usual_s, expected):
    path = tmp_path / "short.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("watch", info=synthetic.info)
        wall = usual_s * np.arange(1, 49)
        synthetic.write_series(run, {"train/loss": synthetic.falling(48), "time/wall": wall})
        measured = np.array([0, 1, 2, 4, 8, 16, 32])
        rows = np.tile([data_s, 0.002, 0.003, 0.001], (len(measured), 1))
        names = [f"time/{phase}" for phase in ("data", "forward", "backward", "optimizer")]
        run.group(names).extend(measured, rows)
        run.finish()
    with Session.open(path) as session:
        assert [each.rule for each in diagnose(session) if each.severity != "info"] == expected


@pytest.mark.parametrize(("asleep", "severity"), [(15, "warning"), (1, None)])
def test_the_rest_of_each_epoch_after_an_evaluation_is_missed(tmp_path, asleep, severity):
    torch.manual_seed(0)
    model, path = net(modes=True), tmp_path / "run.convdebug"
    optimizer = sgd(model.parameters())
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number, (inputs, labels) in enumerate(batches(120)):
            model.train(number % 40 < 40 - asleep)
            loss = F.cross_entropy(model(inputs), labels)
            step_of(optimizer, loss)
            watched.step(loss)
    with Session.open(path) as session:
        found = [each.severity for each in diagnose(session) if each.rule == "eval-mode-while-training"]
    assert found == ([severity] if severity else [])


@pytest.mark.parametrize("every", [1, None], ids=["each step", "within the budget"])
@pytest.mark.parametrize("name", SICK)
def test_an_ill_loop_is_diagnosed_first_and_as_it_should_be(tmp_path, name, every):
    torch.manual_seed(0)
    loop, rule, severity = SICK[name]
    path = tmp_path / "run.convdebug"
    loop(lambda model, optimizer: convdebug.watch(model, optimizer, session=path, every=every))
    with Session.open(path) as session:
        assert session.events(kinds=["instrument-failed"]) == []
        found = diagnose(session)
    assert [(each.rule, each.severity) for each in found[:1]] == [(rule, severity)], [each.message for each in found]
    assert any(letter.isdigit() for letter in found[0].message)
    assert found[0].remedies
