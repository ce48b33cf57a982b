import copy
import math
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class EarlyStopping:
    def __init__(self, patience=3, delta=1e-3):
        self.patience, self.delta = patience, delta
        self.best, self.bad, self.weights = math.inf, 0, None

    def __call__(self, val_loss, model):
        if val_loss < self.best - self.delta:
            self.best, self.bad = val_loss, 0
            self.weights = copy.deepcopy(model.state_dict())
        else:
            self.bad += 1
        return self.bad >= self.patience


def make_dataset(n, seed):
    gen = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 16, generator=gen)
    w = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    logits = torch.tanh(x @ w) * 3
    return TensorDataset(x, torch.distributions.Categorical(logits=logits).probs.cumsum(1).sub_(torch.rand(n, 1, generator=gen)).gt(0).float().argmax(1))


def train_one_epoch(model, loader, loss_fn, optimizer):
    model.train()
    total = 0.0
    for features, labels in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(features), labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * labels.size(0)
    return total / len(loader.dataset)


def validate(model, loader, loss_fn):
    model.eval()
    total = correct = 0.0
    with torch.no_grad():
        for features, labels in loader:
            out = model(features)
            total += loss_fn(out, labels).item() * labels.size(0)
            correct += (out.argmax(1) == labels).sum().item()
    return total / len(loader.dataset), correct / len(loader.dataset)


torch.manual_seed(9)
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 4))
train_loader = DataLoader(make_dataset(6000, 1), batch_size=64, shuffle=True)
val_loader = DataLoader(make_dataset(1500, 2), batch_size=256)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=1)
stopper = EarlyStopping()

for epoch in range(30):
    tl = train_one_epoch(model, train_loader, loss_fn, optimizer)
    vl, acc = validate(model, val_loader, loss_fn)
    scheduler.step(vl)
    print(f"epoch {epoch + 1}: train={tl:.4f} val={vl:.4f} acc={acc:.3f} lr={optimizer.param_groups[0]['lr']:.1e}")
    if stopper(vl, model):
        print("early stop, best", round(stopper.best, 4))
        break

model.load_state_dict(stopper.weights)
torch.save(model.state_dict(), "best.pt")
