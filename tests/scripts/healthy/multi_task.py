"""Two heads, a tuple of outputs and a weighted sum of two losses."""
import torch
from torch import nn
import torch.nn.functional as F
from typing import NamedTuple


class Batch(NamedTuple):
    image: torch.Tensor
    kind: torch.Tensor
    position: torch.Tensor


def scenes(n: int, seed: int) -> Batch:
    g = torch.Generator().manual_seed(seed)
    kind = torch.randint(0, 3, (n,), generator=g)
    position = torch.rand(n, 2, generator=g) * 8 + 4
    u = torch.arange(16.0)
    dy = u[None, :, None] - position[:, 0, None, None]
    dx = u[None, None, :] - position[:, 1, None, None]
    disc = (dx**2 + dy**2 < 9).float()
    box = ((dx.abs() < 3) & (dy.abs() < 3)).float() - ((dx.abs() < 1.5) & (dy.abs() < 1.5)).float()
    plus = ((dx.abs() < 1) & (dy.abs() < 4) | (dy.abs() < 1) & (dx.abs() < 4)).float()
    img = torch.stack([disc, box, plus], 1)[torch.arange(n), kind]
    return Batch(img[:, None] + 0.2 * torch.randn(n, 1, 16, 16, generator=g), kind, position / 8 - 1)


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 10, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(10, 20, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(320, 48), nn.ReLU())
        self.kind_head = nn.Linear(48, 3)
        self.box_head = nn.Linear(48, 2)

    def forward(self, x):
        h = self.backbone(x)
        return self.kind_head(h), self.box_head(h)


torch.manual_seed(77)
train, val = scenes(2560, 0), scenes(512, 1)
model = Detector()
optim = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(4):
    model.train()
    for i in torch.randperm(len(train.kind)).split(64):
        kinds, boxes = model(train.image[i])
        loss_kind = F.cross_entropy(kinds, train.kind[i])
        loss_box = F.mse_loss(boxes, train.position[i])
        loss = loss_kind + 0.5 * loss_box
        optim.zero_grad()
        loss.backward()
        optim.step()
    model.eval()
    with torch.no_grad():
        kinds, boxes = model(val.image)
        vk, vb = F.cross_entropy(kinds, val.kind), F.mse_loss(boxes, val.position)
    print(f"{epoch} total {loss:.3f} | val kind {vk:.3f} box {vb:.4f} acc {(kinds.argmax(1) == val.kind).float().mean():.3f}")
torch.save(model.state_dict(), "detector.pt")
