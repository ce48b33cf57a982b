"""Stochastic weight averaging with torch's own AveragedModel, dropout, and a model picked by a factory."""
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn
from torch.utils.data import DataLoader, TensorDataset

MODELS = {}


def register(f):
    MODELS[f.__name__] = f
    return f


@register
def conv1d(classes):
    nn = torch.nn
    return nn.Sequential(
        nn.Conv1d(2, 12, 5, padding=2), nn.BatchNorm1d(12), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(12, 24, 5, padding=2), nn.BatchNorm1d(24), nn.ReLU(), nn.AdaptiveAvgPool1d(4),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(96, classes))


def signals(n, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (n,), generator=g)
    t = torch.linspace(0, 1, 48)
    f = (3 + 2.5 * y)[:, None, None]
    ph = torch.rand(n, 2, 1, generator=g) * 6.28
    return TensorDataset(torch.sin(6.28 * f * t + ph) + 0.9 * torch.randn(n, 2, 48, generator=g), y)


torch.manual_seed(70)
model = MODELS["conv1d"](4)
swa_model = AveragedModel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
swa_scheduler = SWALR(optimizer, swa_lr=0.02, anneal_epochs=2)
train_loader, val_loader = DataLoader(signals(2400, 0), 48, shuffle=True), DataLoader(signals(600, 1), 200)


def evaluate(net):
    net.eval()
    with torch.no_grad():
        parts = [(F.cross_entropy(net(x), y, reduction="sum").item(), (net(x).argmax(1) == y).sum().item()) for x, y in val_loader]
    return [sum(p) / 600 for p in zip(*parts)]


for epoch in range(6):
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    if epoch >= 3:
        swa_model.update_parameters(model)
        swa_scheduler.step()
    else:
        scheduler.step()
    print(epoch, "val %.4f acc %.3f" % tuple(evaluate(model)))

update_bn(train_loader, swa_model)
print("swa val %.4f acc %.3f" % tuple(evaluate(swa_model)))
torch.save(swa_model.module.state_dict(), "swa.pt")
