"""How a training goes and how it began: rates that are too low or too high, values that grow with depth, saturation."""

import math

import numpy as np
import pytest

from convdebug.rules import diagnose
from convdebug_sessions import Session

CHANCE = math.log(10)
TANH_LAYERS = [{"name": f"layer{i}", "kind": "Tanh", "activation": "tanh"} for i in range(6)]


def found(path):
    """Rule, cause and first step of what was found, without infos."""
    with Session.open(path) as session:
        return [(each.rule, each.caused_by, each.first_step) for each in diagnose(session) if each.severity != "info"]


def rules(path):
    return [rule for rule, _, _ in found(path)]


def noisy(values, noise):
    return np.asarray(values) + np.random.default_rng(1).normal(0, noise, len(values))


def moved_by(ratio, rows):
    return {"update/fc.weight/ratio": np.full(rows, ratio)}


@pytest.mark.parametrize("optimizer", ["Adadelta", "RMSprop", "SGD"])
def test_a_rate_is_too_low_where_updates_are_a_tenth_of_a_thousandth_and_the_loss_stays(written, optimizer):
    loss = {"train/loss": noisy(np.full(160, CHANCE), 0.02)}
    assert rules(written(loss, moved_by(3e-5, 160), info={"optimizer": {"name": optimizer}})) == [
        "learning-rate-too-low"
    ]


def test_a_loss_that_only_came_down_to_chance_has_barely_moved(written):
    loss = {"train/loss": noisy(np.linspace(2.38, 2.3, 160), 0.03)}
    assert rules(written(loss, moved_by(3e-5, 160))) == ["learning-rate-too-low"]


@pytest.mark.parametrize("ratio", [3e-5, 9e-5])
def test_small_updates_under_which_the_loss_falls_are_small_enough_to_learn(written, ratio):
    loss = {"train/loss": noisy(np.linspace(CHANCE, 2.1, 160), 0.05)}
    assert rules(written(loss, moved_by(ratio, 160))) == []


def test_a_loss_too_noisy_to_tell_whether_it_falls_is_not_held_against_the_rate(written):
    loss = {"train/loss": noisy(np.linspace(CHANCE, 2.1, 80), 0.6)}
    assert rules(written(loss, moved_by(5e-5, 80))) == []


def warmed_up(rows, highest):
    """The rate rises evenly all the time; updates are measured at the first steps only, and grow with it."""
    rate, loss = np.linspace(1e-9, 1e-6, rows), noisy(np.full(rows, CHANCE), 0.02)
    ratio = np.where(np.arange(rows) < 9, highest * np.arange(rows) / rows, np.nan)
    return {"train/loss": loss, "train/lr": rate}, {"update/fc.weight/ratio": ratio}


def test_a_warm_up_that_never_gets_anywhere_in_a_whole_run_is_a_rate_too_low(written):
    assert rules(written(*warmed_up(1200, 3e-6))) == ["learning-rate-too-low"]
    assert rules(written(*warmed_up(160, 3e-6), info={"steps_planned": 160})) == ["learning-rate-too-low"]
    assert rules(written(*warmed_up(10_500, 3e-6), status="stopped")) == ["learning-rate-too-low"]


def test_a_warm_up_that_a_short_run_without_a_plan_never_left_is_only_mentioned(written):
    with Session.open(written(*warmed_up(160, 3e-6))) as session:
        assert next((each.rule, each.severity) for each in diagnose(session)) == ("learning-rate-too-low", "info")


@pytest.mark.parametrize("highest", [1e-6, 1e-5])
def test_a_warm_up_that_was_only_tried_or_cut_short_is_left_alone(written, highest):
    assert rules(written(*warmed_up(160, highest), status="stopped")) == []
    assert rules(written(*warmed_up(160, highest), info={"steps_planned": 4000})) == []
    assert rules(written(*warmed_up(60, highest))) == []


def test_updates_that_were_small_at_the_first_steps_of_a_warm_up_say_nothing_of_the_others(written):
    assert rules(written(*warmed_up(160, 3e-3))) == []


def learned_and_climbed(highest):
    """Down to a tenth of the first loss, and up again: half of the batches perfect, the others very wrong."""
    middle = np.concatenate([np.linspace(CHANCE, 0.2, 20), np.linspace(0.2, highest, 140)])
    return np.where(np.arange(160) % 2, 2 * middle, 0.0) * (np.arange(160) > 0) + CHANCE * (np.arange(160) == 0)


def test_a_loss_that_was_learned_and_lost_under_large_updates_names_the_rate(written):
    assert (
        found(written({"train/loss": learned_and_climbed(6.0)}, moved_by(0.1, 160)))[0][0] == "learning-rate-too-high"
    )


@pytest.mark.parametrize(("highest", "ratio"), [(6.0, 0.005), (2.0, 0.1)])
def test_a_loss_that_climbs_under_usual_updates_or_below_its_first_is_not_the_rates(written, highest, ratio):
    assert rules(written({"train/loss": learned_and_climbed(highest)}, moved_by(ratio, 160))) == []


def thrown_and_crawling(highest, last, lost=60):
    """Up within four steps, back at the first loss after `lost` steps, and further down since."""
    parts = np.geomspace(CHANCE, highest, 4), np.linspace(highest, CHANCE, lost), np.linspace(CHANCE, last, 156 - lost)
    return noisy(np.concatenate(parts), 0.05)


def under_the_first_steps(largest):
    return {"update/fc.weight/ratio": np.where(np.arange(160) < 4, largest, 0.01)}


def test_a_loss_that_was_thrown_far_up_and_crawls_back_names_the_rate(written):
    loss = {"train/loss": thrown_and_crawling(8.6, 1.85)}
    first = found(written(loss, under_the_first_steps(0.9)))[0]
    assert first == ("learning-rate-too-high", None, 0)


@pytest.mark.parametrize(
    ("highest", "last", "lost", "largest"),
    [(5.0, 1.85, 60, 0.9), (8.6, 1.4, 60, 0.9), (8.6, 1.85, 20, 0.9), (8.6, 1.85, 60, 0.1)],
)
def test_a_loss_that_rose_little_or_came_back_in_time_is_not_the_rates(written, highest, last, lost, largest):
    loss = {"train/loss": thrown_and_crawling(highest, last, lost)}
    assert "learning-rate-too-high" not in rules(written(loss, under_the_first_steps(largest)))


def test_a_few_wild_batches_of_a_network_that_learned_are_not_the_rates(written, synthetic):
    loss = synthetic.falling(200)
    loss[[155, 185]] = 80.0
    assert rules(written({"train/loss": loss}, moved_by(0.05, 200))) == []


def turned(scale, *evaluated):
    """A network that learned very well, and whose validation loss rises a little at the end."""
    held_out = np.full(160, np.nan)
    held_out[19::20] = np.array(evaluated or (0.55, 0.05, 0.018, 0.018, 0.019, 0.021, 0.021, 0.021)) * scale
    return {"train/loss": scale * np.geomspace(0.7, 0.0008, 160)}, {"val/loss": held_out}


OWN = {"loss": {"name": "own", "reduction": "own"}, "num_classes": None, "expected_initial_loss": None}


@pytest.mark.parametrize(("info", "scale"), [({}, 1.0), (OWN, 1.0), (OWN, 1000.0)])
def test_a_rise_of_a_validation_loss_that_is_slight_against_its_start_is_no_alarm(written, info, scale):
    path = written(*turned(scale), info=info)
    with Session.open(path) as session:
        said = [each.severity for each in diagnose(session) if each.rule == "overfitting"]
    assert said == ["info"]


@pytest.mark.parametrize("info", [{}, OWN])
def test_a_rise_of_a_validation_loss_that_matters_is_an_alarm(written, info):
    groups = turned(1.0, 0.55, 0.4, 0.3, 0.3, 0.31, 0.34, 0.36, 0.38)
    assert "overfitting" in rules(written(*groups, info=info))


def test_a_first_validation_loss_that_is_an_offset_makes_no_rise_slight(written):
    groups = turned(1.0, 1e4, 100.0, 3.0, 1.0, 1.3, 1.8, 2.4, 3.0)
    assert "overfitting" in rules(written(*groups, info=OWN))


def deviations(factor, depth):
    return {f"activation/layer{i}/std": [0.4 * factor**i] for i in range(depth)}


def relu_layers(depth):
    return {"layers": [{"name": f"layer{i}", "kind": "ReLU", "activation": "relu"} for i in range(depth)]}


def test_little_growth_a_layer_explodes_in_a_network_that_is_deep_enough(written):
    loss = np.concatenate([[6e4], np.full(59, np.nan)])
    path = written(deviations(1.6, 24), {"train/loss": loss}, moved_by(300.0, 60), info=relu_layers(24))
    assert found(path)[0] == ("exploding-activations", None, 0)
    assert {rule: cause for rule, cause, _ in found(path)[1:]} == {
        "initial-loss-off": "exploding-activations",
        "learning-rate-too-high": "exploding-activations",
        "loss-diverged": "exploding-activations",
    }


@pytest.mark.parametrize(("factor", "depth"), [(1.41, 16), (1.6, 10)])
def test_sums_of_residual_blocks_that_grow_by_some_hundreds_are_left_alone(written, factor, depth):
    loss = noisy(np.full(60, CHANCE), 0.02)
    assert rules(written(deviations(factor, depth), {"train/loss": loss}, info=relu_layers(depth))) == []


def test_sums_that_grow_by_some_hundreds_explode_where_the_first_loss_shows_it(written):
    loss = np.concatenate([[110.0, 340.0, 16.0], noisy(np.full(57, CHANCE), 0.02)])
    path = written(deviations(1.5, 14), {"train/loss": loss}, info=relu_layers(14))
    assert found(path) == [("exploding-activations", None, 0), ("initial-loss-off", "exploding-activations", 0)]


def gradients_of(factor, depth, rows=20):
    return {f"gradient/fc{i}.weight/norm": np.full(rows, factor ** (i - depth)) for i in range(depth)}


def weights_of(depth):
    return {
        "parameters": [
            {"name": f"fc{i}.weight", "shape": [8, 8], "trainable": True, "in_optimizer": True} for i in range(depth)
        ]
    }


def test_gradients_that_are_halved_less_than_once_a_layer_vanish_in_a_network_that_is_deep_enough(written):
    constant = {"output/batch_std": np.full(20, 1e-6), "output/min": np.full(20, -0.1), "output/max": np.full(20, 0.1)}
    stuck = {"train/loss": noisy(np.full(60, CHANCE), 0.02)}
    assert found(written(stuck, constant, gradients_of(1.8, 22), info=weights_of(22))) == [
        ("vanishing-gradient", None, 0),
        ("constant-output", "vanishing-gradient", 0),
    ]


@pytest.mark.parametrize("steps", [60, 20], ids=["that learns", "that has only begun"])
def test_gradients_that_fall_slowly_through_a_deep_network_are_left_alone(written, synthetic, steps):
    loss = synthetic.falling(60) if steps == 60 else noisy(np.full(20, CHANCE), 0.02)
    assert rules(written({"train/loss": loss}, gradients_of(1.8, 22), info=weights_of(22))) == []


def test_gradients_that_fall_slowly_through_few_layers_are_left_alone(written):
    stuck = {"train/loss": noisy(np.full(60, CHANCE), 0.02)}
    assert rules(written(stuck, gradients_of(1.8, 14), info=weights_of(14))) == []


def test_a_loss_that_only_came_down_to_chance_was_not_thrown_about(written):
    loss = noisy(np.append(1.3 * CHANCE, np.full(319, 1.01 * CHANCE)), 0.02)
    assert loss.argmax() == 0
    path = written({"train/loss": loss}, moved_by(0.09, 320))
    assert rules(path) == ["loss-not-decreasing"]


def test_a_loss_that_rose_under_large_updates_and_stayed_poor_names_the_rate(written):
    loss = noisy(np.concatenate([[CHANCE], np.full(319, 1.05 * CHANCE)]), 0.02)
    assert found(written({"train/loss": loss}, moved_by(0.09, 320)))[0][0] == "learning-rate-too-high"


def test_units_saturated_from_the_start_are_why_the_first_loss_is_off(written):
    loss = np.geomspace(12.0, 1.2, 160)
    share = {f"activation/layer{i}/saturated_fraction": np.linspace(0.8, 0.95, 160) for i in range(6)}
    assert found(written({"train/loss": loss}, share, info={"layers": TANH_LAYERS})) == [
        ("saturated-units", None, 0),
        ("initial-loss-off", "saturated-units", 0),
    ]
