"""A nightly job: trains, and tells by its exit code whether the model is good enough to ship."""
import sys

import torch
import torch.nn as nn

REQUIRED_ACCURACY = 0.995


def load(seed, n):
    gen = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 2, generator=gen) * 4 - 2
    y = ((x[:, 0] * x[:, 1] > 0).float() + (torch.rand(n, generator=gen) < 0.03).float()) % 2
    return x, y.unsqueeze(1)


def main() -> int:
    torch.manual_seed(0)
    x, y = load(0, 4000)
    xv, yv = load(1, 1000)
    net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    criterion = nn.BCEWithLogitsLoss()
    opt = torch.optim.Adam(net.parameters(), lr=4e-3)
    for epoch in range(7):
        net.train()
        for b in torch.randperm(len(x)).split(64):
            opt.zero_grad()
            loss = criterion(net(x[b]), y[b])
            loss.backward()
            opt.step()
        net.eval()
        with torch.no_grad():
            logits = net(xv)
            vl = criterion(logits, yv).item()
            acc = ((logits > 0).float() == yv).float().mean().item()
        print(f"epoch {epoch}: train {loss.item():.3f} val {vl:.3f} accuracy {acc:.3f}")
    torch.save(net.state_dict(), "nightly.pt")
    if acc < REQUIRED_ACCURACY:
        print(f"accuracy {acc:.3f} is below {REQUIRED_ACCURACY}: not shipped")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
