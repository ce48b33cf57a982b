"""Data sets, preprocessing and augmentation, in the order in which they are offered; loads no torch."""

from convdebug.catalogue.entry import Entry, table

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
        "cifar100",
        "datasets.cifar:cifar100",
        "CIFAR-100: the same number of pictures in a hundred classes",
        source="Krizhevsky 2009",
    ),
    Entry(
        "mnist",
        "datasets.mnist:mnist",
        "MNIST: 60,000 + 10,000 handwritten digits of 28×28",
        source="LeCun et al. 1998",
    ),
    Entry(
        "fashion-mnist",
        "datasets.mnist:fashion_mnist",
        "Fashion-MNIST: 60,000 + 10,000 pieces of clothing of 28×28",
        source="Xiao et al. 2017",
    ),
    Entry(
        "svhn",
        "datasets.svhn:svhn",
        "SVHN: 73,257 + 26,032 house numbers of 32×32 RGB",
        source="Netzer et al. 2011",
    ),
    Entry(
        "folder",
        "datasets.folder:folder",
        "your own pictures: data.root holds a sub-folder a class, or train and val with those",
        {"data.picture_size": 64},
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
    Entry("pca", "preprocessing:pca", "turned onto the principal axes: decorrelated", source="lecture"),
    Entry(
        "whitening", "preprocessing:whitening", "whitened and turned back to look like pictures (ZCA)", source="lecture"
    ),
)

AUGMENTATION = table(
    Entry("none", "augmentation:untouched", "pictures as they are"),
    Entry("flip", "augmentation:flip", "mirrored left to right, one time in two"),
    Entry("crop", "augmentation:crop", "shifted by up to an eighth of the side, filled with the mean"),
    Entry("crop+flip", "augmentation:crop_and_flip", "shifted and mirrored"),
)
