"""What is made of a watched module (copies, files, TorchScript) is as if nobody had watched it."""

import copy
import pickle

import pytest
import torch
from torch import nn

import convdebug
from convdebug.instruments.hook import Hook
from convdebug_sessions import Session


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def one_step(model, optimizer):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(torch.randn(16, 4)), torch.zeros(16, dtype=torch.int64)).backward()
    optimizer.step()


def hooks_of(model):
    return [
        hook
        for module in model.modules()
        for hooks in (module._forward_pre_hooks, module._forward_hooks)
        for hook in hooks.values()
    ]


def flags_of(model):
    return [
        len(flags)
        for module in model.modules()
        for flags in (
            module._forward_pre_hooks_with_kwargs,
            module._forward_hooks_with_kwargs,
            module._forward_hooks_always_called,
        )
    ]


def seen(module, inputs, output):
    """A hook of the user's own."""


def seen_too(module, inputs, keywords, output):
    """Another one."""


@pytest.mark.parametrize("made", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_a_watched_module_has_the_hooks_of_the_user_and_no_others(tmp_path, made):
    model = net()
    model.register_forward_hook(seen)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with convdebug.watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        model.register_forward_hook(seen_too, with_kwargs=True, always_call=True)
        one_step(model, optimizer)
        watched.step()
        assert any(isinstance(hook, Hook) for hook in hooks_of(model))
        twin = made(model)
        assert hooks_of(twin) == [seen, seen_too]
        assert sum(flags_of(twin)) == 2
        one_step(model, optimizer)
        watched.step()
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.series("train/loss")[0].tolist() == [0, 1]


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("copied", [False, True], ids=["the model", "a copy"])
@pytest.mark.parametrize("made", ["script", "trace", "trace a method", "trace_module"])
def test_torchscript_takes_a_watched_model_and_the_watch_goes_on(tmp_path, made, copied):
    model = net()
    model.register_forward_pre_hook(lambda module, inputs: None) if made != "script" else None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    example = torch.randn(5, 4)
    with convdebug.watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        one_step(model, optimizer)
        watched.step()
        before = hooks_of(model)
        given = copy.deepcopy(model) if copied else model
        given.eval()
        compiled = {
            "script": lambda: torch.jit.script(given),
            "trace": lambda: torch.jit.trace(given, example),
            "trace a method": lambda: torch.jit.trace(given.forward, example),
            "trace_module": lambda: torch.jit.trace_module(given, {"forward": example}),
        }[made]()
        assert torch.equal(compiled(example), given(example))
        model.train()
        assert hooks_of(model) == before
        one_step(model, optimizer)
        watched.step()
    with Session.open(tmp_path / "run.convdebug") as session:
        assert not session.events(kinds=["instrument-failed"])
        assert len(session.series("activation/0/mean")[0]) == 2


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_a_class_that_is_scripted_while_watching_knows_the_names_around_it(tmp_path):
    model = net()
    with convdebug.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), session=tmp_path / "run.convdebug"):

        class Inner(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x * 2

        @torch.jit.script
        def twice(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

        assert torch.jit.script(Inner())(torch.ones(2)).tolist() == [2, 2]
        assert twice(torch.ones(1), torch.ones(1)).item() == 2


def test_torch_is_as_it_was_when_the_last_watch_is_over(tmp_path):
    before = (vars(nn.Module).get("__getstate__"), torch.jit.script, torch.jit.trace, torch.jit.trace_module)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with convdebug.watch(model, optimizer, session=tmp_path / "a.convdebug"):
        other = net()
        with convdebug.watch(other, torch.optim.SGD(other.parameters(), lr=0.1), session=tmp_path / "b.convdebug"):
            assert torch.jit.trace is not before[2]
        assert "__getstate__" in vars(nn.Module)
    assert (vars(nn.Module).get("__getstate__"), torch.jit.script, torch.jit.trace, torch.jit.trace_module) == before


def test_a_watched_model_is_exported_and_goes_on_being_measured(tmp_path):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    example = torch.randn(5, 4)
    with convdebug.watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        one_step(model, optimizer)
        watched.step()
        exported = torch.export.export(model, (example,))
        assert torch.equal(exported.module()(example), model(example))
        one_step(model, optimizer)
        watched.step()
    with Session.open(tmp_path / "run.convdebug") as session:
        assert not session.events(kinds=["instrument-failed"])
        assert len(session.series("activation/0/mean")[0]) == 2
