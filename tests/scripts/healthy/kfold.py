"""Cross validation: four models one after the other, each with its own optimizer."""
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

torch.manual_seed(60)
x = torch.randn(4000, 15)
rule = torch.randn(15, 4, generator=torch.Generator().manual_seed(2))
y = ((x @ rule) + 0.8 * torch.randn(4000, 4)).argmax(1)
dataset = TensorDataset(x, y)
folds = torch.randperm(4000).chunk(4)
results = []

for k in range(4):
    train_idx = torch.cat([f for j, f in enumerate(folds) if j != k])
    train_dl = DataLoader(Subset(dataset, train_idx.tolist()), batch_size=50, shuffle=True)
    val_dl = DataLoader(Subset(dataset, folds[k].tolist()), batch_size=250)
    model = nn.Sequential(nn.Linear(15, 24), nn.ReLU(), nn.Linear(24, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(2):
        model.train()
        for xb, yb in train_dl:
            optimizer.zero_grad()
            loss = criterion(model(xb), yb)
            loss.backward()
            optimizer.step()
        model.eval()
        losses, hits = 0.0, 0
        with torch.no_grad():
            for xb, yb in val_dl:
                out = model(xb)
                losses += criterion(out, yb).item() / len(val_dl)
                hits += (out.argmax(1) == yb).sum().item()
    results.append(hits / len(folds[k]))
    print(f"fold {k}: val loss {losses:.4f} accuracy {results[-1]:.3f}")
    torch.save(model.state_dict(), f"fold{k}.pt")

print(f"mean accuracy {sum(results) / 4:.3f}")
