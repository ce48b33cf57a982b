"""Classes that are met far more often than others while watching: said where the sample is fair and large enough."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convdebug
from convdebug.rules import diagnose
from convdebug_sessions import Session


def said(path):
    with Session.open(path) as session:
        return [each for each in diagnose(session) if each.rule == "class-imbalance"]


def seen(counts, spread=1.0, batches=20, weighted=False):
    return ("labels-seen", 64, {"counts": counts, "batches": batches, "spread": spread, "weighted": weighted})


def classes(*counts):
    return {str(label): count for label, count in enumerate(counts)}


def found(written, event, **settings):
    return said(written({"train/loss": [2.3] * 80}, events=[event], **settings))


def test_a_class_that_is_far_too_rare_for_chance_is_named(written):
    (one,) = found(written, seen(classes(900, 300, 12)))
    assert one.severity == "warning"
    assert "Of 1212 labels seen so far, a sample" in one.message
    assert "900 are of class 0 and only 12 of class 2 (75 times fewer)" in one.message
    assert one.last_step == 64


@pytest.mark.parametrize("counts", [(250, 14), (90, 1), (400, 350, 300), (150, 3, *[12] * 40), (49, 1)])
def test_a_class_that_is_not_ten_times_rarer_or_may_be_so_by_chance_is_not(written, counts):
    assert found(written, seen(classes(*counts))) == []


def test_a_loss_that_favours_the_rare_only_gets_an_info(written):
    (one,) = found(written, seen(classes(900, 12), weighted=True))
    assert one.severity == "info"
    assert "make up for it" in one.message


@pytest.mark.parametrize("spread", [4.0, 45.0, None])
def test_batches_that_differ_more_than_chance_makes_them_are_no_picture_of_the_whole(written, spread):
    assert found(written, seen(classes(900, 12), spread)) == []


def test_large_batches_may_differ_a_little_more_than_chance_makes_them(written):
    assert found(written, seen(classes(20_000, 300), spread=8.0))


def test_a_few_examples_again_and_again_count_once(written):
    assert found(written, seen(classes(2400, 100), spread=0.0, batches=100)) == []
    assert found(written, seen(classes(240, 3), spread=0.0, batches=3)) == []
    assert found(written, seen(classes(240_000, 100), spread=0.0, batches=100))


def test_few_examples_in_another_order_count_once(written):
    """A hundred batches of 32 out of 64 examples."""
    assert found(written, seen(classes(2850, 350 // 2), spread=0.5, batches=100)) == []


def test_a_known_number_of_examples_counts_once(written):
    assert found(written, seen(classes(2400, 100)), info={"data": {"train": 50}}) == []


def test_batches_of_two_tell_nothing_of_their_order(written):
    assert found(written, seen(classes(900, 12), batches=456)) == []


def test_what_a_survey_of_the_data_counted_goes_before(written):
    surveyed = ("classes", None, {"counts": {"0": 500, "1": 400}, "split": "train"})
    path = written({"train/loss": [2.3] * 80}, events=[surveyed, seen(classes(900, 12))])
    assert said(path) == []


@pytest.mark.parametrize("rows", [3, 4, 7])
def test_words_to_be_told_from_words_are_frequent_by_nature(written, rows):
    info = {
        "num_classes": 3,
        "layers": [{"name": "table", "kind": "Embedding", "parameters": ["table.weight"]}],
        "parameters": [{"name": "table.weight", "shape": [rows, 8]}],
    }
    assert found(written, seen(classes(900, 300, 12)), info=info) == []


def test_labels_told_from_words_of_another_vocabulary_are_none(written):
    info = {
        "num_classes": 3,
        "layers": [{"name": "table", "kind": "Embedding", "parameters": ["table.weight"]}],
        "parameters": [{"name": "table.weight", "shape": [64, 8]}],
    }
    assert found(written, seen(classes(900, 300, 12)), info=info)


def test_letters_given_as_ones_among_zeros_are_tokens_too(written):
    given = {"input/mean": [0.25] * 9, "input/max": [1.0] * 9}
    path = written(
        given, events=[seen(classes(900, 300, 12, 90))], info={"num_classes": 4, "data": {"input_shape": [4]}}
    )
    assert said(path) == []


GENERATOR = torch.Generator()


def drawn(shares, size=32, steps=60):
    """The labels of each batch."""
    GENERATOR.manual_seed(1)
    return [torch.multinomial(torch.tensor(shares), size, True, generator=GENERATOR) for _ in range(steps)]


def trained(path, batches, loss, outputs):
    """Watched at each step, on inputs that tell the classes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, outputs))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for labels in batches:
            inputs = torch.randn(len(labels), 6) + 2 * F.one_hot(labels.clamp(0, 5), 6)
            value = loss(model(inputs), labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            watched.step(value)
    with Session.open(path) as session:
        broken = [event.data for event in session.events(kinds=["instrument-failed"])]
        assert broken == []
        return said(path), session.events(kinds=["labels-seen"])


def binary(scores, labels, **how):
    return F.binary_cross_entropy_with_logits(scores, labels[:, None].float(), **how)


RARE = [0.95, 0.02, 0.03]


def test_rare_classes_are_seen_while_watching(tmp_path):
    found, events = trained(tmp_path / "run.convdebug", drawn(RARE), nn.CrossEntropyLoss(), 3)
    assert [each.severity for each in found] == ["warning"]
    assert [sum(event.data["counts"].values()) for event in events] == [224, 448, 896, 1792, 1920]
    assert set(events[-1].data["counts"]) == {"0", "1", "2"}


def test_a_rare_yes_is_seen_while_watching(tmp_path):
    found, _ = trained(tmp_path / "run.convdebug", drawn([0.96, 0.04]), binary, 1)
    assert [each.severity for each in found] == ["warning"]


@pytest.mark.parametrize(
    "loss",
    [
        lambda scores, labels: F.cross_entropy(scores, labels, torch.tensor([0.1, 2.0, 2.0])),
        lambda scores, labels: (F.cross_entropy(scores, labels, reduction="none") * (1 + labels)).mean(),
        lambda scores, labels: binary(scores[:, :1], labels.clamp(max=1), pos_weight=torch.tensor([20.0])),
    ],
    ids=["weights of classes", "weights of examples", "weight of the yes"],
)
def test_a_loss_that_makes_up_for_rare_classes_is_heard(tmp_path, loss):
    found, _ = trained(tmp_path / "run.convdebug", drawn(RARE), loss, 3)
    assert [each.severity for each in found] == ["info"]


def healthy(labels):
    return {
        "balanced": labels,
        "one batch": [labels[0][:20]] * 60,
        "class after class": list(torch.cat([*labels[:8], torch.full((1664,), 2)]).sort().values.split(32)),
        "a class at a time": [torch.full((32,), int(step % 20 == 7)) for step in range(60)],
        "easy ones first": [each.clamp(max=int(step > 45)) for step, each in enumerate(labels)],
        "ignored": [each.index_fill(0, torch.tensor(0), 5 - 4 * (step % 3 > 0)) for step, each in enumerate(labels)],
        "too few": [each[:3] for each in labels],
    }


@pytest.mark.parametrize("name", healthy(drawn([1.0, 1.0, 1.0])))
def test_labels_that_are_no_fair_sample_or_fairly_mixed_are_not_said_to_be_imbalanced(tmp_path, name):
    batches = healthy(drawn([1.0, 1.0, 1.0]))[name]

    def loss(scores, labels):
        return F.cross_entropy(scores, labels, ignore_index=5)

    assert trained(tmp_path / "run.convdebug", batches, loss, 6)[0] == []


def test_a_critic_that_is_last_shown_what_is_false_is_not_said_to_know_it_alone(tmp_path):
    def loss(scores, labels):
        return binary(scores, torch.ones_like(labels)) + binary(scores, torch.zeros_like(labels))

    assert trained(tmp_path / "run.convdebug", drawn([1.0, 1.0]), loss, 1)[0] == []


def test_of_more_than_a_thousand_classes_nothing_is_told(tmp_path):
    found, events = trained(tmp_path / "run.convdebug", drawn(RARE), nn.CrossEntropyLoss(), 1001)
    assert (found, events) == ([], [])
