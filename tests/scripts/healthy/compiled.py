import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(2)


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 8, 3, padding=1)
        self.c2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc = nn.Linear(16 * 9, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        return self.fc(x.flatten(1))


def quadrants(n):
    y = torch.randint(0, 4, (n,))
    x = 0.8 * torch.randn(n, 1, 12, 12)
    for k in range(4):
        r, c = divmod(k, 2)
        x[y == k, :, 6 * r:6 * r + 6, 6 * c:6 * c + 6] += 0.6
    return x, y


x, y = quadrants(3200)
xv, yv = quadrants(640)
model = ConvNet()
fast = torch.compile(model, backend="aot_eager")
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

for epoch in range(4):
    fast.train()
    for i in range(0, len(x), 64):
        opt.zero_grad()
        loss = F.cross_entropy(fast(x[i:i + 64]), y[i:i + 64])
        loss.backward()
        opt.step()
    fast.eval()
    with torch.no_grad():
        scores = torch.cat([fast(xv[i:i + 64]) for i in range(0, len(xv), 64)])
    print(epoch, f"{loss.item():.4f}", f"val {F.cross_entropy(scores, yv).item():.4f}", f"{(scores.argmax(1) == yv).float().mean().item():.3f}")

torch.save(model.state_dict(), "compiled.pt")
