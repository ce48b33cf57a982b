import argparse
import os

import torch
from torch import nn

from .glyphs import GLYPHS, dataset


def evaluate(model, criterion, x, y):
    model.eval()
    with torch.no_grad():
        out = model(x)
    return criterion(out, y).item(), (out.argmax(1) == y).float().mean().item()


def main(argv=None):
    parser = argparse.ArgumentParser(prog="ocr.train")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="sgd")
    args = parser.parse_args(argv)
    torch.manual_seed(1)
    x, y = dataset(4000, 0)
    xv, yv = dataset(800, 1)
    model = nn.Sequential()
    model.add_module("conv", nn.Conv2d(1, 12, 5))
    model.add_module("act", nn.LeakyReLU(0.1))
    model.add_module("pool", nn.AdaptiveMaxPool2d(2))
    model.add_module("flat", nn.Flatten())
    model.add_module("hidden", nn.Linear(48, 32))
    model.add_module("act2", nn.LeakyReLU(0.1))
    model.add_module("out", nn.Linear(32, len(GLYPHS)))
    criterion = nn.CrossEntropyLoss()
    make = {"adam": lambda p: torch.optim.Adam(p, 1e-3), "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9)}
    optimizer = make[args.optimizer](model.parameters())
    for epoch in range(args.epochs):
        model.train()
        for idx in torch.randperm(len(x)).chunk(100):
            optimizer.zero_grad()
            loss = criterion(model(x[idx]), y[idx])
            loss.backward()
            optimizer.step()
        print("epoch %d: val loss %.4f, accuracy %.3f" % (epoch, *evaluate(model, criterion, xv, yv)))
    torch.save(model.state_dict(), os.path.join(os.getcwd(), "ocr.pt"))


if __name__ == "__main__":
    main()
