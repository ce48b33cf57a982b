"""What looks ill and is not, written as curves: each case must stay without error and warning."""

import math

import numpy as np
import pytest

from convdebug.rules import diagnose
from convdebug_sessions import Recorder, Session

CHANCE = math.log(10)


def severe(path):
    with Session.open(path) as session:
        return [diagnosis.rule for diagnosis in diagnose(session) if diagnosis.severity != "info"]


def noisy(values, noise=0.02):
    return np.asarray(values) + np.random.default_rng(1).normal(0, noise, len(values))


def test_the_tail_of_a_cosine_schedule(written, synthetic):
    rate = 0.05 * (1 + np.cos(np.linspace(0, np.pi, 1000)))
    assert (
        severe(written({"train/loss": synthetic.falling(1000), "train/lr": rate}, info={"steps_planned": 1000})) == []
    )


def test_a_warm_up_under_way(written):
    rate, ratio = np.linspace(1e-7, 1e-4, 300), np.full(300, 5e-6)
    groups = ({"train/loss": noisy(np.full(300, CHANCE)), "train/lr": rate}, {"update/fc.weight/ratio": ratio})
    assert severe(written(*groups, info={"steps_planned": 10_000})) == []


def test_a_pretrained_network_that_starts_below_chance(written):
    loss, accuracy = noisy(np.linspace(0.5, 0.3, 200)), np.full(200, 0.85)
    assert severe(written({"train/loss": loss}, {"train/accuracy": accuracy})) == []


def test_a_fine_tuning_whose_small_steps_are_meant(written):
    groups = ({"train/loss": noisy(np.full(200, 0.4))}, {"train/accuracy": np.full(200, 0.9)})
    assert severe(written(*groups, {"update/fc.weight/ratio": np.full(200, 1e-6)})) == []


@pytest.mark.parametrize("first", [2.4, 2.55])
def test_the_first_loss_of_a_residual_network(written, synthetic, first):
    loss = synthetic.falling(300)
    loss[0] = first
    assert severe(written({"train/loss": loss})) == []


def test_a_spike_from_which_the_loss_comes_back(written, synthetic):
    loss = synthetic.falling(400)
    loss[5:25] = 30.0
    assert severe(written({"train/loss": loss}, {"update/fc.weight/ratio": np.full(400, 0.02)})) == []


def test_a_single_step_that_a_scaler_skipped(written, synthetic):
    loss = synthetic.falling(300)
    loss[100] = np.nan
    assert severe(written({"train/loss": loss})) == []


def test_a_dropout_network_with_a_third_of_its_units_asleep(written, synthetic):
    dead = {f"unit/layer{i}/dead": np.full(200, 0.36) for i in range(6)}
    assert severe(written({"train/loss": synthetic.falling(200)}, dead, info={"layers": synthetic.relu_layers})) == []


def test_units_that_sleep_in_turns(written, synthetic):
    dead = {"unit/layer0/dead": np.where(np.arange(200) % 3, 0.8, 0.2)}
    assert severe(written({"train/loss": synthetic.falling(200)}, dead, info={"layers": synthetic.relu_layers})) == []


def test_a_tanh_network_that_learned_with_its_values_far_out(written, synthetic):
    layers = [{"name": f"layer{i}", "kind": "Tanh", "activation": "tanh"} for i in range(6)]
    share = {f"activation/layer{i}/saturated_fraction": np.full(200, 0.59 + 0.05 * i) for i in range(6)}
    assert severe(written({"train/loss": synthetic.falling(200)}, share, info={"layers": layers})) == []


def test_the_output_of_a_sigmoid_network_may_saturate(written, synthetic):
    layers = [{"name": name, "kind": "Sigmoid", "activation": "sigmoid"} for name in ("hidden", "output")]
    share = {"activation/hidden/saturated_fraction": np.zeros(50), "activation/output/saturated_fraction": np.ones(50)}
    assert severe(written({"train/loss": synthetic.falling(50)}, share, info={"layers": layers})) == []


def test_plain_pixels_between_zero_and_one(written, synthetic):
    pixels = {"mean": 0.47, "std": 0.25, "min": 0.0, "max": 1.0}
    group = {f"input/{what}": np.full(100, value) for what, value in pixels.items()}
    assert severe(written({"train/loss": synthetic.falling(100)}, group)) == []


def test_large_numbers_that_are_looked_up_as_tokens(written, synthetic):
    tokens = {"mean": 900.0, "std": 700.0, "min": 0.0, "max": 3000.0}
    group = {f"input/{what}": np.full(100, value) for what, value in tokens.items()}
    layers = [{"name": "embedding", "kind": "Embedding", "activation": None}]
    assert severe(written({"train/loss": synthetic.falling(100)}, group, info={"layers": layers})) == []


def test_a_frozen_backbone_without_gradients(written, synthetic):
    names = [each["name"] for each in synthetic.parameters]
    listed = [
        each | {"trainable": index == 5, "in_optimizer": index == 5} for index, each in enumerate(synthetic.parameters)
    ]
    norms = {f"gradient/{name}/norm": np.full(100, 1.0 if name == names[5] else 0.0) for name in names}
    assert severe(written({"train/loss": noisy(np.full(100, CHANCE))}, norms, info={"parameters": listed})) == []


def test_late_overconfidence_while_accuracy_still_rises(written, synthetic):
    losses, accuracies = np.full(2000, np.nan), np.full(2000, np.nan)
    losses[199::200] = [1.5, 1.2, 1.0, 0.95, 0.94, 0.96, 0.99, 1.02, 1.05, 1.07]
    accuracies[199::200] = np.linspace(0.5, 0.75, 10)
    groups = ({"train/loss": synthetic.falling(2000)}, {"train/accuracy": np.linspace(0.3, 0.95, 2000)})
    assert severe(written(*groups, {"val/loss": losses, "val/accuracy": accuracies})) == []


def test_a_loss_that_may_be_negative(written):
    assert severe(written({"train/loss": noisy(np.linspace(-1, -9, 300))}, info={"expected_initial_loss": None})) == []


def test_a_small_regression_loss(written):
    info = {"expected_initial_loss": None, "num_classes": None, "loss": {"name": "mse_loss"}}
    assert severe(written({"train/loss": noisy(np.geomspace(1.0, 0.01, 300), 0.001)}, info=info)) == []


def test_labels_that_are_left_out_by_a_negative_number(written, synthetic):
    events = [("classes", None, {"counts": {"-1": 200, "0": 300, "9": 280}, "split": "train"})]
    assert severe(written({"train/loss": synthetic.falling(100)}, events=events)) == []


def test_labels_of_a_network_with_a_single_output(written, synthetic):
    events = [("classes", None, {"counts": {"0": 300, "1": 280}, "split": "train"})]
    assert severe(written({"train/loss": synthetic.falling(100)}, events=events, info={"num_classes": 1})) == []


def test_a_step_under_ten_milliseconds_may_wait_for_its_data(written, synthetic):
    times = {f"time/{phase}": np.full(100, 0.001) for phase in ("forward", "backward", "optimizer")}
    times["time/data"] = np.full(100, 0.008)
    assert severe(written({"train/loss": synthetic.falling(100)}, times)) == []


def test_evaluations_do_not_count_as_waiting_for_data(tmp_path, synthetic):
    times = {f"time/{phase}": np.full(100, 0.01) for phase in ("forward", "backward", "optimizer")}
    times["time/data"] = np.where(np.arange(100) % 3, 0.5, 0.001)
    path = tmp_path / "evaluated.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", info=synthetic.info)
        synthetic.write_series(run, {"train/loss": synthetic.falling(100)})
        synthetic.write_series(run, times)
        evaluated = np.flatnonzero(np.arange(1, 100) % 3)
        run.group(["val/loss"]).extend(evaluated, np.ones((len(evaluated), 1)))
        run.finish()
    assert severe(path) == []


def test_a_low_rate_explains_why_accuracy_rises_while_the_loss_stands_still(written):
    groups = ({"train/loss": noisy(np.full(400, CHANCE), 1e-4)}, {"train/accuracy": np.linspace(0.08, 0.2, 400)})
    path = written(*groups, {"update/fc.weight/ratio": np.full(400, 3e-6)}, config={"optimizer": {"lr": 1e-6}})
    with Session.open(path) as session:
        found = diagnose(session)
    assert found[0].rule == "learning-rate-too-low"
    assert "Accuracy rose from 0.09 to 0.19" in found[0].message
    assert "softmax" in found[0].message
    assert found[0].remedies[0].change == {"optimizer.lr": 0.0005}


def test_a_converged_run_that_stands_still_at_the_end(written):
    loss = np.concatenate([np.geomspace(CHANCE, 0.3, 300), np.full(900, 0.3)])
    right = np.concatenate([np.linspace(0.1, 0.88, 300), np.full(900, 0.88)])
    groups = ({"train/loss": noisy(loss, 0.05), "train/lr": np.full(1200, 0.1)}, {"train/accuracy": noisy(right, 0.03)})
    assert severe(written(*groups)) == []


def test_a_hard_task_that_stands_still_because_the_rate_has_come_down(written):
    loss = np.concatenate([np.geomspace(CHANCE, 1.6, 300), np.full(900, 1.6)])
    rate = np.where(np.arange(1200) < 400, 0.1, 0.005)
    groups = ({"train/loss": noisy(loss, 0.05), "train/lr": rate}, {"train/accuracy": noisy(np.full(1200, 0.35), 0.05)})
    assert severe(written(*groups)) == []


def test_the_loss_of_batches_of_four(written):
    rng = np.random.default_rng(3)
    loss = np.where(rng.random(3000) < 0.1, 4.0, 0.6) * rng.gamma(2.0, 0.5, 3000) * np.linspace(1.5, 0.95, 3000)
    loss[:5] = CHANCE
    assert severe(written({"train/loss": loss}, {"train/accuracy": np.full(3000, 0.7)}, info={"batch_size": 4})) == []


def test_validation_without_dropout_that_is_better_than_training(written, synthetic):
    losses = np.full(400, np.nan)
    losses[49::50] = 0.5 * synthetic.falling(400)[49::50]
    path = written({"train/loss": synthetic.falling(400)}, {"val/loss": losses}, info={"dropout": {"drop": 0.5}})
    with Session.open(path) as session:
        assert diagnose(session) == []


def test_clipping_that_cuts_now_and_then(written, synthetic):
    sizes = np.where(np.arange(200) % 3, 0.4, 3.0)
    groups = ({"train/loss": synthetic.falling(200)}, {"clipping/size": sizes, "clipping/limit": np.ones(200)})
    with Session.open(written(*groups)) as session:
        assert diagnose(session) == []


def test_a_large_penalty_under_which_the_network_learns(written, synthetic):
    groups = (
        {"train/loss": synthetic.falling(200), "train/penalty": np.linspace(6, 2, 200)},
        {f"weight/{each['name']}/norm": np.linspace(5, 3, 200) for each in synthetic.parameters},
    )
    info = {"parameters": synthetic.parameters, "optimizer": {"name": "SGD", "lr": 0.1, "weight_decay": 5e-2}}
    assert severe(written(*groups, info=info)) == []


def shrinking(synthetic):
    return {f"weight/{each['name']}/norm": np.linspace(5, 2, 200) for each in synthetic.parameters}


def test_a_penalty_by_hand_under_which_the_network_learns(written, synthetic):
    data = synthetic.falling(200)
    groups = ({"train/loss": data + np.linspace(6, 2, 200), "loss/cross_entropy": data}, shrinking(synthetic))
    info = {"parameters": synthetic.parameters, "loss": {"name": "own", "reduction": "own", "part": "cross_entropy"}}
    assert severe(written(*groups, info=info)) == []


@pytest.mark.parametrize("weight", [0.25, 8.0], ids=["divided", "summed"])
def test_a_loss_function_that_is_only_weighted_has_nothing_beside_it(written, synthetic, weight):
    data = noisy(np.full(200, 2.3))
    groups = ({"train/loss": weight * data, "loss/cross_entropy": data}, shrinking(synthetic))
    info = {"parameters": synthetic.parameters, "expected_initial_loss": None, "num_classes": None}
    assert "regularization-dominates" not in severe(written(*groups, info=info))


def test_several_loss_functions_are_taken_together(written, synthetic):
    first, second = noisy(np.full(200, 2.3)), np.geomspace(20.0, 2.0, 200)
    functions = {"loss/cross_entropy": first, "loss/mse_loss": second}
    groups = ({"train/loss": first + second, **functions}, shrinking(synthetic))
    assert severe(written(*groups, info={"parameters": synthetic.parameters})) == []


def test_two_black_pictures_that_stand_in_both_splits(written, synthetic):
    events = [("overlap", None, {"shared": 2, "examined": 60})]
    assert severe(written({"train/loss": synthetic.falling(100)}, events=events)) == []


def test_a_frozen_batch_norm_may_see_few_examples(written, synthetic):
    layers = [{"name": "norm", "kind": "BatchNorm2d", "activation": None}]
    events = [("modes", 0, {"norm": False})]
    info = {"layers": layers, "batch_size": 2}
    assert severe(written({"train/loss": synthetic.falling(100)}, info=info, events=events)) == []


def test_a_window_of_graphs_that_is_kept_on_purpose(written, synthetic):
    graphs = {"graph/marked": np.arange(200.0), "graph/alive": np.minimum(np.arange(200.0), 20)}
    assert severe(written({"train/loss": synthetic.falling(200)}, graphs)) == []


@pytest.mark.parametrize("place", ["", "_inside", "_aside"])
@pytest.mark.parametrize(("steps", "alive", "said"), [(220, 1, True), (160, 1, False), (220, 2 / 3, False)])
def test_a_few_graphs_that_were_marked_are_enough_where_all_of_them_stay_for_hundreds_of_steps(
    tmp_path, synthetic, steps, alive, said, place
):
    path = tmp_path / "rarely.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", info=synthetic.info)
        synthetic.write_series(run, {"train/loss": synthetic.falling(steps)})
        marked = np.arange(7.0)
        rows = np.stack([marked, np.floor(alive * marked)], axis=1)
        run.group([f"graph/marked{place}", f"graph/alive{place}"]).extend(
            np.linspace(0, steps - 1, 7).astype(int), rows
        )
        run.finish("finished")
    assert severe(path) == (["graph-kept-alive"] if said else [])


@pytest.mark.parametrize("loss", [np.full(600, 1.3), np.linspace(0.7, 4.0, 600)])
def test_the_loss_of_one_of_two_adversaries(tmp_path, synthetic, loss):
    path = tmp_path / "adversaries.convdebug"
    with Recorder.create(path) as recorder:
        for kind in ("watch", "watch"):
            columns = {"train/loss": noisy(loss), "time/wall": np.linspace(0.0, 1000.0, 600)}
            synthetic.write_run(recorder, columns, kind=kind, info={"expected_initial_loss": math.log(2)})
    with Session.open(path) as session:
        found = [each.rule for run in session.runs for each in diagnose(session, run.id) if each.severity == "error"]
    assert "loss-not-decreasing" not in found
    assert "loss-diverged" not in found


def test_a_two_way_loss_summed_over_pixels(written, synthetic):
    info = {"expected_initial_loss": None, "num_classes": None, "batch_size": 64}
    info["loss"] = {"name": "binary_cross_entropy", "reduction": "sum"}
    loss = noisy(np.geomspace(44.7, 27.3, 400))
    assert severe(written({"train/loss": loss, "loss/binary_cross_entropy": 64 * loss}, info=info)) == []


def test_a_sum_that_the_loop_divides_is_not_what_makes_it_overshoot(written, synthetic):
    loss = np.append(np.geomspace(1.0, 500.0, 40), np.full(60, 500.0))
    ratios = {f"update/{each['name']}/ratio": np.full(100, 0.5) for each in synthetic.parameters}
    event = {"call": "mse_loss", "name": "mse_loss", "reduction": "sum", "scores": [64, 1], "labels": [64, 1]}
    info = {"expected_initial_loss": None, "num_classes": None, "batch_size": 64, "parameters": synthetic.parameters}
    info["loss"] = {"name": "mse_loss", "reduction": "sum"}
    for size, expected in ((64, False), (1, True)):
        groups = ({"train/loss": loss, "loss/mse_loss": size * loss}, ratios)
        found = severe(written(*groups, info=info, events=[("loss-seen", 0, event)]))
        assert ("loss-summed-over-batch" in found) == expected
        assert "learning-rate-too-high" in found


def test_a_distillation_beside_a_cross_entropy_that_starts_at_chance(written, synthetic):
    groups = {"train/loss": 3.3 * synthetic.falling(300), "loss/cross_entropy": synthetic.falling(300)}
    assert severe(written(groups | {"loss/kl_div": 5 * synthetic.falling(300)})) == []


def test_what_a_generator_makes_is_no_data_that_could_be_centered(written, synthetic):
    given = {"input/mean": 40, "input/std": 1, "input/min": 35, "input/max": 45}
    given = {name: np.full(200, value) for name, value in given.items()}
    groups = ({"train/loss": synthetic.falling(200)}, given)
    assert severe(written(*groups)) == ["inputs-not-centered"]
    assert severe(written(*groups, info={"fed_by": "Generator"})) == []


def test_a_network_that_knows_its_training_examples_while_validation_still_gets_better(written, synthetic):
    losses, accuracies = np.full(2000, np.nan), np.full(2000, np.nan)
    losses[199::200], accuracies[199::200] = np.linspace(1.0, 0.6, 10), np.linspace(0.7, 0.777, 10)
    groups = ({"train/loss": synthetic.falling(2000)}, {"train/accuracy": np.linspace(0.95, 1.0, 2000)})
    assert severe(written(*groups, {"val/loss": losses, "val/accuracy": accuracies})) == []


def test_a_single_small_batch_that_was_all_right(written, synthetic):
    losses, accuracies = np.full(2000, np.nan), np.full(2000, np.nan)
    losses[199::200], accuracies[199::200] = np.full(10, 0.8), np.full(10, 0.75)
    right = np.full(2000, np.nan)
    right[[100, 400, 800, 1200, 1600]] = [0.5, 0.75, 0.875, 0.875, 1.0]
    groups = ({"train/loss": synthetic.falling(2000)}, {"train/accuracy": right})
    assert severe(written(*groups, {"val/loss": losses, "val/accuracy": accuracies})) == []


@pytest.mark.parametrize("part", [None, "mse_loss"])
def test_a_training_loss_with_further_terms_is_not_compared_with_the_function_alone(part, tmp_path):
    training = noisy(np.linspace(3.0, 2.0, 400))
    loss = {"name": "own", "reduction": "own", "part": part} if part else {"name": "mse_loss", "reduction": "mean"}
    with Recorder.create(tmp_path / "run.convdebug") as recorder:
        run = recorder.start_run("watch", info={"loss": loss})
        run.group(["train/loss"]).extend(np.arange(400), training[:, None])
        run.group(["val/loss"]).extend(np.arange(49, 400, 50), training[49::50, None] / 2)
        run.finish()
    with Session.open(tmp_path / "run.convdebug") as session:
        found = [diagnosis.rule for diagnosis in diagnose(session)]
    assert ("validation-better-than-train" in found) == (part is None)


@pytest.mark.parametrize("evaluated", [None, "part"])
def test_one_of_several_losses_in_an_evaluation_is_not_compared_with_their_sum(evaluated, written, synthetic):
    training = noisy(np.linspace(3.0, 2.0, 400))
    losses = np.full(400, np.nan)
    losses[49::50] = training[49::50] / 2
    path = written({"train/loss": training}, {"val/loss": losses}, info={"evaluated_loss": evaluated})
    with Session.open(path) as session:
        found = [diagnosis.rule for diagnosis in diagnose(session)]
    assert ("validation-better-than-train" in found) == (evaluated is None)
