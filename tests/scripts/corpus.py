"""The table of user scripts that watching must leave as they are, with how each is started."""

from dataclasses import dataclass, field
from pathlib import Path

HEALTHY = Path(__file__).resolve().parent / "healthy"


@dataclass(frozen=True)
class Script:
    """A user's script: a file below `healthy`, or a module of a folder there, with its own arguments.

    `timed` scripts take 10 ms and more a step and print their milliseconds per step to stderr.
    """

    name: str
    style: str
    place: str = ""
    """The file, from `healthy`; `<name>.py` if not given."""
    module: str = ""
    """Run by `-m` from the folder `place`."""
    arguments: tuple[str, ...] = ()
    exit_code: int = 0
    timed: bool = False
    sees: tuple[str, ...] = field(default=("loss", "validation"))
    """What a session must show of it."""
    prints: tuple[str, ...] = ("val/loss",)
    """Series whose last value the script itself prints in its last lines: what is recorded must be that number."""

    @property
    def source(self) -> Path:
        """The file or the folder that is copied before the script runs."""
        if self.module:
            return HEALTHY / self.place
        path = HEALTHY / (self.place or f"{self.name}.py")
        return path if path.parent == HEALTHY else HEALTHY / path.relative_to(HEALTHY).parts[0]

    @property
    def command(self) -> list[str]:
        """What follows `python` or `convdebug run` in the folder that holds the copy."""
        started = ["-m", self.module] if self.module else [self.file]
        return [*started, *self.arguments]

    @property
    def file(self) -> str:
        """The script itself, relative to the folder in which it runs."""
        return Path(self.place).name if self.place else f"{self.name}.py"

    @property
    def code(self) -> Path:
        """The file whose lines a sick twin changes, relative to the folder in which it runs."""
        return Path(self.module.replace(".", "/") + ".py") if self.module else Path(self.file)


BOTH = ("val/loss", "val/accuracy")

SCRIPTS: list[Script] = [
    Script(
        "digits_convnet",
        "functional, nll of log_softmax, argparse, StepLR, own train() and test()",
        arguments=("--epochs", "3", "--save-model"),
        prints=BOTH,
    ),
    Script(
        "tutorial_loop",
        "notebook cells at module level, accuracy counted by hand, no validation loss",
        timed=True,
        prints=(),
    ),
    Script("sequential_mlp", "nn.Sequential, module level, random_split", prints=BOTH),
    Script("residual", "residual net, in-place ReLU, batch norm, OneCycleLR", timed=True, prints=BOTH),
    Script("gan_rings", "GAN: two models, two optimizers, labels smoothed", prints=()),
    Script("autoencoder", "convolutional autoencoder, the input is the target, inference_mode"),
    Script(
        "house_prices", "regression with MSE, standardised table, RMSE", arguments=("--out", "kept/model.pt"), prints=()
    ),
    Script("lstm_forecast", "LSTM on windows of a signal, clipping"),
    Script("char_gru", "recurrent language model, hidden state carried and detached"),
    Script(
        "tiny_gpt", "transformer from scratch, loss inside forward, tied weights, decay groups", timed=True, prints=()
    ),
    Script("vit_patches", "nn.TransformerEncoder, layer norm, warm-up by LambdaLR", timed=True, prints=BOTH),
    Script("accumulate", "gradient accumulation, loss divided", prints=BOTH),
    Script("amp_bfloat16", "autocast in bfloat16, a GradScaler that is off", prints=BOTH),
    Script("amp_scaler", "autocast with a GradScaler that scales on the CPU", prints=BOTH),
    Script("compiled", "torch.compile", prints=BOTH),
    Script("ema_weights", "moving average of the weights, evaluated beside the model", prints=BOTH),
    Script("two_optimizers", "one model, two optimizers, embeddings"),
    Script("lbfgs_fit", "L-BFGS with a closure, float64, full batch"),
    Script(
        "early_stopping", "early stopping on the validation loss, ReduceLROnPlateau, best weights restored", prints=BOTH
    ),
    Script("dataset_workers", "own Dataset, worker processes, random augmentation", prints=BOTH),
    Script(
        "model_elsewhere",
        "model in a package beside the script, lazy layers, phases in one loop",
        "model_elsewhere/train.py",
        prints=BOTH,
    ),
    Script("hf_like", "dict batches, output object with the loss in it, own collate function", prints=BOTH),
    Script("multi_task", "tuple of outputs, weighted sum of two losses", prints=BOTH),
    Script("distillation", "teacher and student, KL divergence of soft answers", prints=("val/accuracy",)),
    Script("finetune_frozen", "pretraining, then a frozen backbone with a new head", prints=BOTH),
    Script("spam_filter", "binary, BCEWithLogits, EmbeddingBag with offsets", prints=BOTH),
    Script("multilabel_tags", "multi-label, F1"),
    Script("smooth_cosine", "label smoothing, mixup, cosine, clipping", timed=True, prints=BOTH),
    Script("focal_loss", "loss written by hand, no loss function of torch", prints=("val/accuracy",)),
    Script("trainer_class", "Trainer class, logging, meters, checkpoints", prints=BOTH),
    Script(
        "grad_penalty", "WGAN with gradient penalty, parameters frozen and thawed each turn", prints=(), sees=("loss",)
    ),
    Script("autograd_grad", "torch.autograd.grad, gradients set by hand"),
    Script(
        "ocr_module", "a package run by -m", "as_module", module="ocr.train", arguments=("--epochs", "3"), prints=BOTH
    ),
    Script("siamese", "one encoder called twice a step, contrastive loss"),
    Script("custom_function", "autograd.Function with a straight-through gradient", prints=BOTH),
    Script("own_hooks", "the user's own forward, gradient and optimizer hooks", prints=BOTH),
    Script("exit_three", "sys.exit(3) when the model is not good enough", exit_code=3, prints=BOTH),
    Script("skipgram_sparse", "sparse gradients, SparseAdam, logsigmoid"),
    Script("diffusion_2d", "denoising diffusion, buffers, time embedding"),
    Script("kfold", "cross validation: four models one after the other", prints=BOTH),
    Script("simclr", "contrastive pre-training, cross entropy over similarities"),
    Script("pos_tagger", "packed sequences, ignore_index", prints=BOTH),
    Script("unet_segmentation", "U-Net, cross entropy per pixel", timed=True),
    Script("vae", "variational autoencoder, summed over pixels", prints=()),
    Script("swa_and_sched", "AveragedModel, SWALR, 1-d convolutions, update_bn", prints=BOTH),
]


def script_named(name: str) -> Script:
    """The script of that name; KeyError if there is none."""
    return {script.name: script for script in SCRIPTS}[name]
