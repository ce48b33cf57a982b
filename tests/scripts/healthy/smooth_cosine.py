"""The usual recipe: label smoothing, warm restarts of a cosine, weight decay, gradient clipping, mixup."""
import argparse
import sys
import time

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset


class Patches(Dataset):
    """Sums of two sinusoids whose frequencies give the class."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.y = torch.randint(0, 8, (n,), generator=g)
        t = torch.arange(24.0)
        fx, fy = 0.3 + 0.25 * (self.y % 4), 0.3 + 0.4 * (self.y // 4)
        ph = torch.rand(2, n, 1, generator=g) * 6.28
        self.x = (torch.sin(fx[:, None] * t + ph[0])[:, None, :, None] + torch.sin(fy[:, None] * t + ph[1])[:, None, None, :])
        self.x = self.x + 0.8 * torch.randn(n, 1, 24, 24, generator=g)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True), nn.MaxPool2d(2))


def mixup(x, y, alpha):
    lam = torch.distributions.Beta(alpha, alpha).sample().item()
    perm = torch.randperm(len(x))
    return lam * x + (1 - lam) * x[perm], y, y[perm], lam


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", default=3, type=int)
    p.add_argument("--batch", default=40, type=int)
    p.add_argument("--lr", default=0.05, type=float)
    p.add_argument("--smoothing", default=0.1, type=float)
    p.add_argument("--clip", default=2.0, type=float)
    p.add_argument("--mixup", default=0.2, type=float)
    p.add_argument("-o", "--output", default="smooth.pt")
    return p.parse_args()


def main(args):
    torch.manual_seed(2024)
    train, val = DataLoader(Patches(1600, 0), args.batch, shuffle=True), DataLoader(Patches(320, 1), 160)
    net = nn.Sequential(block(1, 8), block(8, 16), block(16, 24), nn.Flatten(), nn.Linear(24 * 9, 8))
    criterion = nn.CrossEntropyLoss(label_smoothing=args.smoothing)
    optimizer = optim.SGD(net.parameters(), lr=args.lr, momentum=0.9, weight_decay=1e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs * len(train))
    clock, steps = 0.0, 0
    for epoch in range(args.epochs):
        net.train()
        for x, y in train:
            began = time.perf_counter()
            x, ya, yb, lam = mixup(x, y, args.mixup)
            out = net(x)
            loss = lam * criterion(out, ya) + (1 - lam) * criterion(out, yb)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), args.clip)
            optimizer.step()
            schedule.step()
            clock, steps = clock + time.perf_counter() - began, steps + 1
        net.eval()
        with torch.no_grad():
            results = [(criterion(net(x), y), (net(x).argmax(1) == y).float().mean()) for x, y in val]
        loss_v, acc_v = (torch.stack(r).mean().item() for r in zip(*results))
        print(f"epoch {epoch + 1}/{args.epochs} val_loss={loss_v:.4f} val_acc={acc_v:.4f}")
    print(f"{clock / steps * 1000:.2f} ms per step", file=sys.stderr)
    torch.save(net.state_dict(), args.output)


if __name__ == "__main__":
    main(parse())
