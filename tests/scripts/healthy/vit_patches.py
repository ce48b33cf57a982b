import math, sys, time
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(5)


class ViT(nn.Module):
    """Patches -> linear embedding -> nn.TransformerEncoder -> class token."""

    def __init__(self, image=16, patch=4, dim=32, depth=2, heads=4, classes=6):
        super().__init__()
        n = (image // patch) ** 2
        self.embed = nn.Conv2d(1, dim, patch, patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos = nn.Parameter(torch.randn(1, n + 1, dim) * 0.02)
        layer = nn.TransformerEncoderLayer(dim, heads, dim_feedforward=2 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        return self.head(self.norm(self.encoder(x))[:, 0])


def bars(n):
    """Six classes: a bright bar in one of three directions, thick or thin."""
    y = torch.randint(0, 6, (n,))
    u = torch.arange(16.0) - 7.5
    angle = (y % 3) * (math.pi / 3)
    width = torch.where(y < 3, 1.2, 3.0)
    shift = (torch.rand(n) - 0.5) * 5
    d = u[None, :, None] * angle.cos()[:, None, None] + u[None, None, :] * angle.sin()[:, None, None] - shift[:, None, None]
    img = (d.abs() < width[:, None, None]).float()
    return (img + 0.9 * torch.randn(n, 16, 16)).unsqueeze(1), y


train_dl = DataLoader(TensorDataset(*bars(3000)), batch_size=50, shuffle=True)
val_dl = DataLoader(TensorDataset(*bars(600)), batch_size=200)
model = ViT()
EPOCHS = 3
opt = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
warm, total = 20, EPOCHS * len(train_dl)
sched = torch.optim.lr_scheduler.LambdaLR(
    opt, lambda s: (s + 1) / warm if s < warm else 0.5 * (1 + math.cos(math.pi * (s - warm) / (total - warm))))
ce = nn.CrossEntropyLoss()
t = 0.0
for epoch in range(EPOCHS):
    model.train()
    for img, lab in train_dl:
        t -= time.perf_counter()
        loss = ce(model(img), lab)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        sched.step()
        t += time.perf_counter()
    model.eval()
    with torch.no_grad():
        vl = va = 0
        for img, lab in val_dl:
            logits = model(img)
            vl += ce(logits, lab).item() / len(val_dl)
            va += (logits.argmax(-1) == lab).float().mean().item() / len(val_dl)
    print(f"epoch {epoch} train {loss.item():.3f} | val {vl:.3f} acc {va:.3f}")
print(f"{t / total * 1000:.2f} ms per step", file=sys.stderr)
torch.save(model.state_dict(), "vit.pt")
