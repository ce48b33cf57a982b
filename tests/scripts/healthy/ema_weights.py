import copy
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class EMA:
    """Exponential moving average of the weights, evaluated instead of the model."""

    def __init__(self, model, decay=0.98):
        self.decay = decay
        self.module = copy.deepcopy(model).eval()
        for p in self.module.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        for e, p in zip(self.module.state_dict().values(), model.state_dict().values()):
            if e.dtype.is_floating_point:
                e.mul_(self.decay).add_(p, alpha=1 - self.decay)
            else:
                e.copy_(p)


def moons(n, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (n,), generator=g)
    a = torch.rand(n, generator=g) * 3.1416
    x = torch.stack([a.cos() + y, (a.sin() - 0.5) * (1 - 2 * y)], 1)
    return TensorDataset((x - torch.tensor([0.5, 0.1])) / 0.8 + 0.2 * torch.randn(n, 2, generator=g), y)


torch.manual_seed(21)
model = nn.Sequential(nn.Linear(2, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
ema = EMA(model)
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
crit = nn.CrossEntropyLoss()
loader, valid = DataLoader(moons(4000, 0), 50, shuffle=True), DataLoader(moons(1000, 1), 250)

for epoch in range(5):
    model.train()
    for x, y in loader:
        opt.zero_grad()
        loss = crit(model(x), y)
        loss.backward()
        opt.step()
        ema.update(model)
    model.eval()
    with torch.no_grad():
        for name, m in (("raw", model), ("ema", ema.module)):
            vl = sum(crit(m(x), y).item() for x, y in valid) / len(valid)
            acc = sum((m(x).argmax(1) == y).sum().item() for x, y in valid) / 1000
            print(f"epoch {epoch} {name}: {vl:.4f} {acc:.3f}")

torch.save({"model": model.state_dict(), "ema": ema.module.state_dict()}, "ema.pt")
