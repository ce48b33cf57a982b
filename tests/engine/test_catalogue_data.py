"""The data of the catalogue: splits, statistics, augmentation against slow twins, files that are missing or damaged."""

import gzip

import numpy as np
import pytest
import torch
from PIL import Image

from convdebug.catalogue import PREPROCESSING, augmentation, build, preprocessing
from convdebug.catalogue.datasets import shapes10
from convdebug.catalogue.datasets.mnist import read_idx
from convdebug.config import RunConfig
from convdebug.errors import UserError


def data_settings(**settings):
    return RunConfig.of({f"data.{key}": value for key, value in settings.items()}).data


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


PIXELS = torch.randint(0, 256, (200, 3, 6, 6), generator=generator(), dtype=torch.uint8)


def test_shapes_are_always_the_same_and_a_limit_takes_the_first():
    whole, labels = shapes10.draw(600, 0)
    again, labels_again = shapes10.draw(270, 0)
    assert (whole[:270] == again).all()
    assert (labels[:270] == labels_again).all()
    assert not (shapes10.draw(270, 1)[0] == again).all()
    assert (whole.shape, whole.dtype) == ((600, 3, 32, 32), np.uint8)


def test_shapes_have_ten_classes_of_equal_size():
    _, labels = shapes10.draw(1000, 0)
    assert np.bincount(labels).tolist() == [100] * 10


def test_limits_and_holdout_choose_examples():
    settings = {"name": "gaussian", "preprocessing": "none"}
    whole = build.picture_data(data_settings(**settings))
    some = build.picture_data(data_settings(**settings, holdout=100, limit=300, val_limit=50))
    assert torch.equal(some.train.pixels, whole.train.pixels[:300])
    assert torch.equal(some.val.pixels, whole.train.pixels[900:950])


@pytest.mark.parametrize("name", PREPROCESSING)
def test_statistics_come_from_the_training_split_alone(name):
    few = build.splits(data_settings(name="gaussian", limit=60, val_limit=30, preprocessing=name))
    fit = PREPROCESSING[name].load()(few.train.pictures.pixels)
    raw = few.val.pictures.pixels
    assert torch.equal(few.val.__getitems__(range(30))[0], fit(raw.float()))


def test_preprocessing_does_what_its_name_says():
    pixels = PIXELS.double()
    assert torch.equal(preprocessing.untouched(PIXELS)(pixels), pixels)
    centred = preprocessing.zero_center(PIXELS)(pixels)
    assert centred.mean(0).abs().max() < 1e-4
    one_mean = preprocessing.per_channel_mean(PIXELS)(pixels)
    assert one_mean.mean((0, 2, 3)).abs().max() < 1e-4
    scaled = preprocessing.normalize(PIXELS)(pixels)
    assert scaled.mean((0, 2, 3)).abs().max() < 1e-5
    assert torch.allclose(scaled.std((0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64), atol=1e-5)


def test_moments_of_bytes_equal_those_of_floats():
    for counted, plain in zip(
        preprocessing.channel_moments(PIXELS), preprocessing.channel_moments(PIXELS.float()), strict=True
    ):
        assert torch.allclose(counted, plain, rtol=1e-6)


def test_a_constant_channel_is_only_centred():
    assert preprocessing.normalize(torch.full((4, 1, 2, 2), 7, dtype=torch.uint8))(torch.tensor(9.0)).eq(2).all()


def test_pca_decorrelates_and_whitening_gives_unit_covariance():
    few = PIXELS[:, :, :3, :3].repeat_interleave(2, 0)
    turned = preprocessing.pca(few)(few.float()).flatten(1)
    covariance = turned.T @ turned / len(turned)
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-3
    assert covariance.diag().mean() == pytest.approx(1, rel=1e-3)
    white = preprocessing.whitening(few)(few.float()).flatten(1)
    assert torch.allclose(white.T @ white / len(white), torch.eye(27), atol=1e-3)


def test_flip_mirrors_whole_pictures_one_time_in_two():
    flipped = augmentation.flip(PIXELS, generator(1))
    mirrored = [
        torch.equal(new, old.flip(2)) if not torch.equal(new, old) else False
        for new, old in zip(flipped, PIXELS, strict=True)
    ]
    same = [torch.equal(new, old) for new, old in zip(flipped, PIXELS, strict=True)]
    assert all(one or other for one, other in zip(mirrored, same, strict=True))
    assert 70 < sum(mirrored) < 130


def test_crop_equals_a_slow_loop():
    pixels = torch.randint(0, 256, (20, 3, 32, 32), generator=generator(2), dtype=torch.uint8)
    cropped = augmentation.crop(pixels, generator(3))
    down, right = torch.randint(0, 9, (2, 20), generator=generator(3))
    for number, picture in enumerate(pixels):
        padded = np.pad(picture.numpy(), ((0, 0), (4, 4), (4, 4)), mode="reflect")
        expected = padded[:, down[number] : down[number] + 32, right[number] : right[number] + 32]
        assert (cropped[number].numpy() == expected).all()


def test_crop_and_flip_keeps_shape_and_kind_and_leaves_its_input_alone():
    kept = PIXELS.clone()
    changed = augmentation.crop_and_flip(PIXELS, generator())
    assert (changed.shape, changed.dtype) == (PIXELS.shape, torch.uint8)
    assert torch.equal(kept, PIXELS)


def test_validation_pictures_are_never_augmented_and_training_ones_change_by_epoch():
    splits = build.splits(data_settings(name="shapes10", limit=40, val_limit=40, augmentation="crop+flip"))
    assert splits.val.augment is None
    one, other = (splits.train.keyed(0, epoch).__getitems__(range(40))[0] for epoch in (0, 1))
    assert not torch.equal(one, other)
    assert torch.equal(one, splits.train.keyed(0, 0).__getitems__(range(40))[0])


def test_raw_pictures_are_bytes_for_display():
    splits = build.splits(data_settings(name="shapes10", limit=40, val_limit=40))
    raw = splits.train.raw([3, 1])
    assert (raw.shape, raw.dtype) == ((2, 32, 32, 3), np.uint8)
    assert (raw[1].transpose(2, 0, 1) == splits.train.pictures.pixels[1].numpy()).all()


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion-mnist", "folder"])
def test_a_missing_folder_says_what_was_looked_for_and_how_to_get_it(name, tmp_path):
    with pytest.raises(UserError, match=r"does not exist; (set|allow)") as caught:
        build.splits(data_settings(name=name, root=str(tmp_path / "nowhere")))
    assert str(tmp_path) in str(caught.value)
    assert "data.root" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_idx_files_are_named(tmp_path):
    (tmp_path / "short").write_bytes(b"\x00\x00")
    (tmp_path / "cut").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 9]) + b"12345")
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"x" * 1000)[:-20])
    for name in ("short", "cut", "packed"):
        with pytest.raises(UserError, match=name):
            read_idx(tmp_path, "MNIST", name)
    with pytest.raises(UserError, match=r"neither gone nor gone\.gz"):
        read_idx(tmp_path, "MNIST", "gone")


def test_an_empty_cifar_folder_is_incomplete(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(UserError, match=r"CIFAR-10 in .* is incomplete or damaged"):
        build.splits(data_settings(name="cifar10", root=str(tmp_path)))


def photos(root, classes, count=4):
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (30 + 5 * number, 50), (80 * label, 90, 10)).save(root / name / f"{number}.png")


def test_a_folder_of_pictures_is_held_out_in_fifths(tmp_path):
    photos(tmp_path, ["daisy", "rose"], count=5)
    splits = build.splits(data_settings(name="folder", root=str(tmp_path), picture_size=16))
    assert splits.train.classes == ("daisy", "rose")
    assert (len(splits.train), len(splits.val), splits.input_shape) == (8, 2, (3, 16, 16))


def test_a_folder_with_train_and_val_keeps_them_apart(tmp_path):
    photos(tmp_path / "train", ["daisy", "rose"])
    photos(tmp_path / "val", ["daisy", "rose"], count=1)
    splits = build.splits(data_settings(name="folder", root=str(tmp_path), picture_size=16))
    assert (len(splits.train), len(splits.val)) == (8, 2)


def test_a_folder_without_pictures_or_with_other_classes_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures in"):
        build.splits(data_settings(name="folder", root=str(tmp_path / "empty")))
    photos(tmp_path / "two" / "train", ["daisy", "rose"])
    photos(tmp_path / "two" / "val", ["daisy", "tulip"])
    with pytest.raises(UserError, match="has the classes"):
        build.splits(data_settings(name="folder", root=str(tmp_path / "two")))


@pytest.mark.data
def test_the_real_cifar10_is_read(data_root):
    splits = build.splits(data_settings(name="cifar10", root=str(data_root), limit=100))
    assert (len(splits.train), len(splits.val)) == (100, 10_000)
    assert splits.train.classes[splits.train.pictures.labels[0]] == "frog"


@pytest.mark.data
def test_the_real_mnist_is_read_gzipped_from_a_read_only_folder(data_root):
    splits = build.splits(data_settings(name="mnist", root=str(data_root)))
    assert (len(splits.train), len(splits.val), splits.input_shape) == (60_000, 10_000, (1, 28, 28))
    assert splits.train.pictures.labels[:5].tolist() == [5, 0, 4, 1, 9]
