"""The catalogue's lists, in the order in which they are offered; loads no torch."""

from convdebug.catalogue.entry import Entry, Table, find, table

DATASETS = table(
    Entry(
        "shapes10",
        "datasets.shapes10:shapes10",
        "ten classes of shapes and textures, 32×32 RGB, made by a seeded generator: no file, no network",
    ),
    Entry(
        "cifar10",
        "datasets.cifar:cifar10",
        "CIFAR-10: 50,000 + 10,000 pictures of 32×32 RGB in ten classes",
        source="Krizhevsky 2009",
    ),
    Entry(
        "mnist",
        "datasets.mnist:mnist",
        "MNIST: 60,000 + 10,000 handwritten digits of 28×28",
        source="LeCun et al. 1998",
    ),
    Entry(
        "gaussian",
        "datasets.gaussian:gaussian",
        "1000 unit Gaussian vectors of 500 numbers",
        {"data.preprocessing": "none"},
        "lecture",
    ),
)

PREPROCESSING = table(
    Entry("none", "preprocessing:untouched", "pixels as they come, 0 to 255"),
    Entry("zero-center", "preprocessing:zero_center", "minus the mean of every pixel position", source="lecture"),
    Entry(
        "mean-image", "preprocessing:zero_center", "minus the mean picture (AlexNet)", source="Krizhevsky et al. 2012"
    ),
    Entry(
        "per-channel-mean",
        "preprocessing:per_channel_mean",
        "minus one mean a channel (VGG)",
        source="Simonyan and Zisserman 2014",
    ),
    Entry("normalize", "preprocessing:normalize", "minus the mean, over the standard deviation of every channel"),
)

AUGMENTATION = table(
    Entry("none", "augmentation:untouched", "pictures as they are"),
    Entry("flip", "augmentation:flip", "mirrored left to right, one time in two"),
    Entry("crop", "augmentation:crop", "shifted by up to an eighth of the side, filled with the mean"),
    Entry("crop+flip", "augmentation:crop_and_flip", "shifted and mirrored"),
)

MODELS = table(
    Entry(
        "two-layer",
        "models.dense:two_layer",
        "one hidden layer of 50 units",
        {"model.hidden": 50},
        "lecture",
    ),
    Entry(
        "ten-layer",
        "models.dense:ten_layer",
        "ten hidden layers of 500 units each",
        {"model.hidden": 500, "model.depth": 10, "model.activation": "tanh"},
        "lecture",
    ),
    Entry(
        "convnetjs",
        "models.convnetjs:convnetjs",
        "the net of the ConvNetJS CIFAR-10 demo: three 5×5 convolutions of 16, 20, 20 filters",
        {"model.width": 1.0},
        "Karpathy, ConvNetJS",
    ),
    Entry(
        "3c3d",
        "models.three_c_three_d:three_c_three_d",
        "three convolutions and three dense layers",
        {"model.width": 1.0},
        "Schneider et al. 2019 (DeepOBS)",
    ),
    Entry(
        "vgg",
        "models.vgg:vgg",
        "six 3×3 convolutions in three blocks, then one hidden dense layer",
        {"model.width": 1.0, "model.hidden": 128, "model.batch_norm": "none"},
        "after Simonyan and Zisserman 2014",
    ),
    Entry(
        "vgg-bn",
        "models.vgg:vgg",
        "the same with batch norm",
        {"model.width": 1.0, "model.hidden": 128, "model.batch_norm": "before"},
        "after Simonyan and Zisserman 2014; Ioffe and Szegedy 2015",
    ),
)

ACTIVATIONS = table(
    Entry("sigmoid", "activations:sigmoid", "1/(1+e⁻ˣ): saturates, and is never zero-centred", source="lecture"),
    Entry("tanh", "activations:tanh", "zero-centred, saturates at ±1", source="lecture"),
    Entry("relu", "activations:relu", "max(0, x): does not saturate, can die", source="lecture"),
    Entry("leaky-relu", "activations:leaky_relu", "max(0.01 x, x): does not die", source="Maas et al. 2013"),
    Entry("prelu", "activations:prelu", "max(α x, x) with a learned α", source="He et al. 2015"),
    Entry("elu", "activations:elu", "x, or eˣ − 1 below zero", source="Clevert et al. 2015"),
    Entry(
        "maxout", "activations:maxout", "the larger of two units: doubles the units", source="Goodfellow et al. 2013"
    ),
    Entry("gelu", "activations:gelu", "x times the Gaussian distribution function", source="Hendrycks and Gimpel 2016"),
    Entry("silu", "activations:silu", "x times the sigmoid of x", source="Elfwing et al. 2017"),
)

INITIALIZERS = table(
    Entry("default", "initializers:default", "the model's own: PyTorch's, or what its paper uses"),
    Entry("zero", "initializers:zero", "all weights zero: every unit stays like its neighbour", source="lecture"),
    Entry("constant", "initializers:constant", "all weights the same", {"model.init_constant": 0.01}),
    Entry("gaussian", "initializers:gaussian", "normal with the given deviation", {"model.init_std": 0.01}, "lecture"),
    Entry("xavier", "initializers:xavier", "normal over √fan_in, the lecture's form", source="lecture"),
    Entry("glorot", "initializers:glorot", "uniform, by fan_in + fan_out", source="Glorot and Bengio 2010"),
    Entry("he", "initializers:he", "normal times √(2/fan_in)", source="He et al. 2015"),
    Entry("orthogonal", "initializers:orthogonal", "random orthogonal matrices", source="Saxe et al. 2013"),
)

OPTIMIZERS = table(
    Entry(
        "sgd",
        "optimizers:sgd",
        "plain gradient descent",
        {"optimizer.lr": 0.05, "optimizer.weight_decay": 0.0},
        "lecture",
    ),
    Entry(
        "momentum",
        "optimizers:momentum",
        "gradient descent with a velocity",
        {"optimizer.lr": 0.01, "optimizer.momentum": 0.9, "optimizer.weight_decay": 0.0},
        "lecture",
    ),
    Entry(
        "nesterov",
        "optimizers:nesterov",
        "momentum with the gradient at the looked-ahead position",
        {"optimizer.lr": 0.01, "optimizer.momentum": 0.9, "optimizer.weight_decay": 0.0},
        "lecture",
    ),
    Entry(
        "adagrad",
        "optimizers:adagrad",
        "each rate over the root of all squared gradients so far",
        {"optimizer.lr": 0.01, "optimizer.eps": 1e-10, "optimizer.weight_decay": 0.0},
        "Duchi et al. 2011",
    ),
    Entry(
        "adadelta",
        "optimizers:adadelta",
        "rates from running means of squared gradients and updates",
        {"optimizer.lr": 1.0, "optimizer.decay": 0.95, "optimizer.eps": 1e-6, "optimizer.weight_decay": 0.0},
        "Zeiler 2012",
    ),
    Entry(
        "rmsprop",
        "optimizers:rmsprop",
        "each rate over a running root of squared gradients",
        {
            "optimizer.lr": 1e-3,
            "optimizer.decay": 0.99,
            "optimizer.momentum": 0.0,
            "optimizer.eps": 1e-8,
            "optimizer.weight_decay": 0.0,
        },
        "Tieleman and Hinton 2012",
    ),
    Entry(
        "adam",
        "optimizers:adam",
        "running mean of gradients over the root of that of their squares",
        {
            "optimizer.lr": 1e-3,
            "optimizer.beta1": 0.9,
            "optimizer.beta2": 0.999,
            "optimizer.eps": 1e-8,
            "optimizer.weight_decay": 0.0,
        },
        "Kingma and Ba 2014",
    ),
    Entry(
        "adamw",
        "optimizers:adamw",
        "Adam with decoupled weight decay",
        {
            "optimizer.lr": 1e-3,
            "optimizer.beta1": 0.9,
            "optimizer.beta2": 0.999,
            "optimizer.eps": 1e-8,
            "optimizer.weight_decay": 0.01,
        },
        "Loshchilov and Hutter 2017",
    ),
)

SCHEDULES = table(
    Entry("constant", "schedules:constant", "the same rate throughout"),
    Entry(
        "step",
        "schedules:step",
        "times a factor every few epochs",
        {"schedule.every": 2.0, "schedule.factor": 0.5},
        "lecture",
    ),
    Entry("exponential", "schedules:exponential", "lr · exp(−k t), t in epochs", {"schedule.k": 0.1}, "lecture"),
    Entry("one-over-t", "schedules:one_over_t", "lr / (1 + k t), t in epochs", {"schedule.k": 0.1}, "lecture"),
    Entry(
        "cosine",
        "schedules:cosine",
        "half a cosine down to the final share",
        {"schedule.final": 0.0},
        "Loshchilov and Hutter 2016",
    ),
    Entry(
        "one-cycle",
        "schedules:one_cycle",
        "up from 1/25 of the rate, then down to next to nothing",
        {"schedule.warmup": 0.3},
        "Smith and Topin 2017",
    ),
    Entry(
        "warmup-cosine",
        "schedules:warmup_cosine",
        "up from nothing in a straight line, then half a cosine",
        {"schedule.warmup": 0.1, "schedule.final": 0.0},
        "Goyal et al. 2017",
    ),
    Entry(
        "plateau",
        "schedules:plateau",
        "times a factor when the validation loss has stopped falling",
        {"schedule.factor": 0.1, "schedule.patience": 2},
    ),
)

REGULARIZERS = table(
    Entry("l2", "regularizers:l2", "½·λ·‖W‖² of all weights, added to the loss", {"regularization.l2": 0.0}, "lecture"),
    Entry(
        "dropout",
        "regularizers:dropout",
        "units set to zero at random while training, the others scaled up",
        {"regularization.dropout": 0.0},
        "Srivastava et al. 2014",
    ),
)

TABLES: dict[str, Table] = {
    "data.name": DATASETS,
    "data.preprocessing": PREPROCESSING,
    "data.augmentation": AUGMENTATION,
    "model.name": MODELS,
    "model.activation": ACTIVATIONS,
    "model.init": INITIALIZERS,
    "optimizer.name": OPTIMIZERS,
    "schedule.name": SCHEDULES,
}
"""The table behind every RunConfig key that names something."""

TORCHVISION = Entry(
    "torchvision:NAME",
    "models.torchvision_models:torchvision_model",
    "any classifier of torchvision.models, with fresh weights",
)


def entry_of(key: str, name: str) -> Entry:
    """The entry that ``key = name`` chooses; UserError with the nearest name otherwise."""
    if key == "model.name" and name.startswith("torchvision:"):
        return TORCHVISION
    return find(TABLES[key], key, name)
