"""Transfer learning: a backbone trained on one task is frozen, a new head learns another."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def patterns(n, classes, seed):
    g = torch.Generator().manual_seed(seed)
    base = torch.randn(10, 1, 14, 14, generator=torch.Generator().manual_seed(55))
    base = nn.functional.avg_pool2d(base, 3, 1, 1) * 2.5
    y = torch.randint(0, len(classes), (n,), generator=g)
    return TensorDataset(base[torch.tensor(classes)[y]] + 1.0 * torch.randn(n, 1, 14, 14, generator=g), y)


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())

    def forward(self, x):
        return self.net(x)


def fit(model, params, train_set, val_set, epochs, lr, frozen=None):
    opt = torch.optim.Adam(params, lr=lr)
    loss_fn = nn.CrossEntropyLoss()
    train_dl, val_dl = DataLoader(train_set, 50, shuffle=True), DataLoader(val_set, 100)
    for epoch in range(epochs):
        model.train()
        if frozen is not None:
            frozen.eval()  # keep the batch statistics of the pretraining
        for xb, yb in train_dl:
            loss = loss_fn(model(xb), yb)
            opt.zero_grad()
            loss.backward()
            opt.step()
        model.eval()
        with torch.no_grad():
            vals = [(loss_fn(model(xb), yb).item(), (model(xb).argmax(1) == yb).float().mean().item()) for xb, yb in val_dl]
        vl, va = (sum(v) / len(v) for v in zip(*vals))
        print(f"  epoch {epoch}: loss {loss.item():.3f} val {vl:.3f} acc {va:.3f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    backbone = Backbone()
    print("pretraining")
    pre = nn.Sequential(backbone, nn.Linear(144, 6))
    fit(pre, pre.parameters(), patterns(1500, [0, 1, 2, 3, 4, 5], 0), patterns(300, [0, 1, 2, 3, 4, 5], 1), 2, 2e-3)
    print("fine-tuning")
    for p in backbone.parameters():
        p.requires_grad = False
    model = nn.Sequential(backbone, nn.Linear(144, 4))
    trainable = [p for p in model.parameters() if p.requires_grad]
    fit(model, trainable, patterns(1500, [6, 7, 8, 9], 2), patterns(300, [6, 7, 8, 9], 3), 3, 3e-3, frozen=backbone)
    torch.save(model.state_dict(), "finetuned.pt")
