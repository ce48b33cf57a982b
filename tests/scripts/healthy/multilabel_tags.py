import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

TAGS = 8
torch.manual_seed(88)
mixing = torch.randn(TAGS, 50)


def tagged(n):
    tags = (torch.rand(n, TAGS) < 0.3).float()
    return tags @ mixing + 1.5 * torch.randn(n, 50), tags


class TagNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = nn.Linear(50, 64)
        self.norm = nn.BatchNorm1d(64)
        self.hidden = nn.Linear(64, 64)
        self.output = nn.Linear(64, TAGS)

    def forward(self, x):
        x = F.relu(self.norm(self.input(x)))
        x = F.relu(self.hidden(x))
        return self.output(x)


def f1(logits, tags):
    predicted = logits.sigmoid() > 0.5
    tp = (predicted & tags.bool()).sum()
    return (2 * tp / (predicted.sum() + tags.sum())).item()


train_loader = DataLoader(TensorDataset(*tagged(5000)), batch_size=64, shuffle=True)
xv, tv = tagged(1000)
model = TagNet()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
criterion = nn.BCEWithLogitsLoss()

for epoch in range(1, 6):
    model.train()
    running = 0.0
    for x, tags in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(x), tags)
        loss.backward()
        optimizer.step()
        running += loss.item()
    model.eval()
    with torch.no_grad():
        logits = model(xv)
        val_loss = F.binary_cross_entropy_with_logits(logits, tv)
    print(f"{epoch}: {running / len(train_loader):.4f} / {val_loss:.4f}  F1 {f1(logits, tv):.3f}")

torch.save(model.state_dict(), "tags.pt")
