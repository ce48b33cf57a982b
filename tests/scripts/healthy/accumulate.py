"""Gradient accumulation: an effective batch of 128 in four pieces."""
import torch
import torch.nn as nn
import torch.nn.functional as F

ACCUM = 4
torch.manual_seed(123)


def data(n):
    y = torch.randint(0, 5, (n,))
    proto = torch.randn(5, 40, generator=torch.Generator().manual_seed(17))
    return proto[y] + 1.6 * torch.randn(n, 40), y


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(40, 64)
        self.l2 = nn.Linear(64, 64)
        self.out = nn.Linear(64, 5)

    def forward(self, x):
        return self.out(F.relu(self.l2(F.relu(self.l1(x)))))


x, y = data(6400)
xv, yv = data(1000)
net = MLP()
opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

for epoch in range(5):
    net.train()
    order = torch.randperm(len(x))
    opt.zero_grad()
    total = 0.0
    for i, idx in enumerate(order.split(32)):
        loss = F.cross_entropy(net(x[idx]), y[idx]) / ACCUM
        loss.backward()
        total += loss.item()
        if (i + 1) % ACCUM == 0:
            opt.step()
            opt.zero_grad()
    net.eval()
    with torch.no_grad():
        out = net(xv)
        print(f"ep {epoch}: train {total / (len(x) / 32 / ACCUM):.4f} val {F.cross_entropy(out, yv):.4f} acc {(out.argmax(1) == yv).float().mean():.3f}")

torch.save(net.state_dict(), "accumulated.pt")
