import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(7)

# two spirals with three arms
def spirals(n_per_arm):
    xs, ys = [], []
    for arm in range(3):
        r = torch.linspace(0.1, 1, n_per_arm)
        t = torch.linspace(arm * 4, arm * 4 + 4, n_per_arm) + 0.2 * torch.randn(n_per_arm)
        xs.append(torch.stack([r * torch.sin(t), r * torch.cos(t)], dim=1))
        ys.append(torch.full((n_per_arm,), arm))
    return torch.cat(xs) * 2, torch.cat(ys)

x, y = spirals(1500)
dataset = TensorDataset(x, y)
train_set, val_set = random_split(dataset, [3600, 900])
train_loader = DataLoader(train_set, batch_size=64, shuffle=True)
val_loader = DataLoader(val_set, batch_size=300)

model = nn.Sequential(
    nn.Linear(2, 64),
    nn.ReLU(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 3),
)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

for epoch in range(1, 13):
    model.train()
    total = 0
    for xb, yb in train_loader:
        pred = model(xb)
        loss = loss_fn(pred, yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(xb)
    model.eval()
    val_loss, hits = 0, 0
    with torch.no_grad():
        for xb, yb in val_loader:
            pred = model(xb)
            val_loss += loss_fn(pred, yb).item() * len(xb)
            hits += (pred.argmax(1) == yb).sum().item()
    print(f"epoch {epoch:2d}  train {total / len(train_set):.4f}  val {val_loss / len(val_set):.4f}  acc {hits / len(val_set):.3f}")

torch.save(model.state_dict(), "final.pt")
