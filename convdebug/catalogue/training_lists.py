"""Optimizers, schedules and regularizers, in the order in which they are offered; loads no torch."""

from convdebug.catalogue.entry import Entry, table

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
