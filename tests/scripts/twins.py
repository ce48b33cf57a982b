"""Sick twins of the healthy scripts: one fault each, as a change of its lines, and the first diagnosis it must get."""

from dataclasses import dataclass
from pathlib import Path

from .corpus import Script, script_named
from .harness import prepared


@dataclass(frozen=True)
class Twin:
    """A healthy script with some lines changed.

    Each change is (text as it stands, what stands there instead); a text that does not occur exactly once is an error,
    so that a twin never silently stays healthy.
    """

    name: str
    script: str
    expected: str
    changes: tuple[tuple[str, str], ...]
    exit_code: int = 0

    @property
    def healthy(self) -> Script:
        """The script it is a twin of."""
        return script_named(self.script)


def sick_code(twin: Twin) -> str:
    """The twin's lines; ValueError for a change that does not fit."""
    healthy = twin.healthy
    base = healthy.source if healthy.source.is_dir() else healthy.source.parent
    code = (base / healthy.code).read_text()
    for before, after in twin.changes:
        if code.count(before) != 1:
            raise ValueError(f"twin {twin.name}: {before!r} occurs {code.count(before)} times in {healthy.name}")
        code = code.replace(before, after)
    return code


def prepared_twin(twin: Twin, folder: Path) -> Path:
    """A folder in which the twin can run under the name of its healthy script."""
    code = sick_code(twin)
    prepared(twin.healthy, folder)
    (folder / twin.healthy.code).write_text(code)
    return folder


TWINS: list[Twin] = [
    Twin("forgot_zero_grad", "sequential_mlp", "gradients-accumulate", (("        optimizer.zero_grad()\n", ""),)),
    Twin("forgot_zero_grad_adamw", "hf_like", "gradients-accumulate", (("            optimizer.zero_grad()\n", ""),)),
    Twin(
        "head_not_in_optimizer",
        "multi_task",
        "parameters-not-in-optimizer",
        (
            (
                "torch.optim.Adam(model.parameters(), lr=2e-3)",
                "torch.optim.Adam([*model.backbone.parameters(), *model.kind_head.parameters()], lr=2e-3)",
            ),
        ),
    ),
    Twin(
        "item_embedding_not_in_optimizer",
        "two_optimizers",
        "parameters-not-in-optimizer",
        ((" + list(m.item.parameters())", ""),),
    ),
    Twin(
        "backbone_stays_frozen",
        "multilabel_tags",
        "frozen-parameters",
        (
            (
                "optimizer = torch.optim.SGD",
                "for p in model.hidden.parameters():\n    p.requires_grad = False\noptimizer = torch.optim.SGD",
            ),
        ),
    ),
    Twin(
        "detached_trunk",
        "digits_convnet",
        "no-gradient",
        (("        x = torch.flatten(x, 1)\n", "        x = torch.flatten(x, 1).detach()\n"),),
    ),
    Twin(
        "numpy_in_the_middle",
        "autograd_grad",
        "no-gradient",
        (
            ("h = torch.tanh(self.a(x))", "h = torch.from_numpy(torch.tanh(self.a(x)).detach().numpy())"),
            (
                "grads = torch.autograd.grad(loss, params)",
                "grads = torch.autograd.grad(loss, params, allow_unused=True)",
            ),
        ),
    ),
    Twin(
        "eval_after_first_epoch",
        "ema_weights",
        "eval-mode-while-training",
        (("for epoch in range(5):\n    model.train()\n", "model.train()\nfor epoch in range(5):\n"),),
    ),
    Twin(
        "dropout_off_while_training",
        "early_stopping",
        "eval-mode-while-training",
        (("    model.train()\n    total = 0.0", "    total = 0.0"),),
    ),
    Twin("forgot_eval", "residual", "train-mode-while-validating", (("    model.eval()\n", ""),)),
    Twin("forgot_eval_dropout", "char_gru", "train-mode-while-validating", (("    model.eval()\n", ""),)),
    Twin("forgot_step", "trainer_class", "optimizer-not-stepping", (("            self.optimizer.step()\n", ""),)),
    Twin(
        "scale_overflows",
        "amp_scaler",
        "steps-skipped",
        (
            (
                'GradScaler("cpu", init_scale=2.0**10)',
                'GradScaler("cpu", init_scale=2.0**20, growth_interval=1)',
            ),
            ("dtype=torch.bfloat16", "dtype=torch.float16"),
        ),
    ),
    Twin(
        "nll_of_raw_scores",
        "digits_convnet",
        "loss-expects-log-probabilities",
        (("        output = F.log_softmax(x, dim=1)\n        return output", "        return x"),),
    ),
    Twin(
        "softmax_before_cross_entropy",
        "accumulate",
        "double-softmax",
        (
            (
                "return self.out(F.relu(self.l2(F.relu(self.l1(x)))))",
                "return F.softmax(self.out(F.relu(self.l2(F.relu(self.l1(x))))), dim=1)",
            ),
        ),
    ),
    Twin(
        "sigmoid_before_bce_with_logits",
        "spam_filter",
        "double-sigmoid",
        (
            (
                "return self.fc2(torch.relu(self.fc1(self.bag(words, offsets)))).squeeze(1)",
                "return torch.sigmoid(self.fc2(torch.relu(self.fc1(self.bag(words, offsets))))).squeeze(1)",
            ),
        ),
    ),
    Twin(
        "summed_loss",
        "custom_function",
        "loss-summed-over-batch",
        (("lossf = nn.CrossEntropyLoss()", 'lossf = nn.CrossEntropyLoss(reduction="sum")'),),
    ),
    Twin(
        "column_against_row",
        "house_prices",
        "loss-shape-broadcast",
        (("return self.layers(x).squeeze(-1)", "return self.layers(x)"),),
    ),
    Twin(
        "sorted_batches",
        "dataset_workers",
        "unshuffled-batches",
        (
            (
                "self.labels = np.random.default_rng(seed).integers(0, 3, length)",
                "self.labels = np.sort(np.random.default_rng(seed).integers(0, 3, length))",
            ),
            ("batch_size=60, shuffle=True", "batch_size=60, shuffle=False"),
        ),
    ),
    Twin(
        "slow_data",
        "model_elsewhere",
        "data-bound",
        (
            ("for inputs, labels in loaders[phase]:", "for inputs, labels in slowly(loaders[phase]):"),
            (
                "\nfor epoch in range(4):",
                "\n\n"
                "def slowly(loader):\n"
                "    import time\n\n"
                "    for batch in loader:\n"
                "        time.sleep(0.03)  # a network drive\n"
                "        yield batch\n\n\n"
                "for epoch in range(2):",
            ),
        ),
    ),
    Twin(
        "rate_far_too_high",
        "tutorial_loop",
        "learning-rate-too-high",
        (("lr=0.01, momentum=0.9", "lr=0.7, momentum=0.9"),),
    ),
    Twin(
        "biases_far_below_zero",
        "focal_loss",
        "dead-relu",
        (("focal = FocalLoss()\n", "focal = FocalLoss()\nnn.init.constant_(model[2].bias, -4.0)\n"),),
    ),
    Twin(
        "log_of_zero",
        "kfold",
        "non-finite-activation",
        (
            (
                "folds = torch.randperm",
                "\nclass Log(nn.Module):\n"
                "    def forward(self, x):\n"
                "        return torch.log(x)\n\n\n"
                "folds = torch.randperm",
            ),
            ("nn.Linear(15, 24), nn.ReLU(), nn.Linear(24, 4)", "nn.Linear(15, 24), nn.ReLU(), Log(), nn.Linear(24, 4)"),
        ),
    ),
    Twin(
        "labels_from_one",
        "own_hooks",
        "label-out-of-range",
        (("+ (x[:, 6] > 1).long()", "+ (x[:, 6] > 1).long() + 1"),),
        exit_code=1,
    ),
    Twin(
        "raw_pixels",
        "tutorial_loop",
        "inputs-not-scaled",
        (
            ("X, Y = make_images(2400, gen)\n", "X, Y = make_images(2400, gen)\nX = 127 + 60 * X\n"),
            ("Xt, Yt = make_images(480, gen)\n", "Xt, Yt = make_images(480, gen)\nXt = 127 + 60 * Xt\n"),
        ),
    ),
    Twin(
        "weights_all_zero",
        "own_hooks",
        "symmetric-weights",
        (
            (
                "sparsity, norms, counter = ",
                "for p in model.parameters():\n    nn.init.zeros_(p)\n\nsparsity, norms, counter = ",
            ),
        ),
    ),
    Twin("rate_far_too_low", "multilabel_tags", "learning-rate-too-low", (("lr=0.1, momentum=0.9", "lr=1e-7"),)),
]
