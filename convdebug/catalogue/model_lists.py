"""Models, activations and initializers, in the order in which they are offered; loads no torch."""

from convdebug.catalogue.entry import Entry, table

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
        "lenet-300-100",
        "models.lenet:lenet_300_100",
        "dense layers of 300 and 100 units",
        {"model.width": 1.0},
        "LeCun et al. 1998; Han et al. 2015",
    ),
    Entry(
        "lenet5",
        "models.lenet:lenet5",
        "two 5×5 convolutions and 500 dense units",
        {"model.width": 1.0},
        "LeCun et al. 1998; Han et al. 2015",
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
    Entry(
        "resnet20",
        "models.resnet20:resnet20",
        "nineteen 3×3 convolutions with shortcuts, batch norm throughout",
        {"model.width": 1.0},
        "He et al. 2015",
    ),
)

TORCHVISION = Entry(
    "torchvision:NAME",
    "models.torchvision_models:torchvision_model",
    "any classifier of torchvision.models, with fresh weights",
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
    Entry(
        "random-walk",
        "initializers:random_walk",
        "normal over √fan_in, scaled so that gradients neither shrink nor grow on average",
        source="Sussillo and Abbott 2014",
    ),
    Entry(
        "data-dependent",
        "initializers:data_dependent",
        "each unit brought to mean 0 and deviation 1 on training inputs",
        source="Krähenbühl et al. 2015",
    ),
    Entry(
        "lsuv",
        "initializers:lsuv",
        "orthogonal, then each layer brought to variance 1 on training inputs",
        source="Mishkin and Matas 2015",
    ),
)
