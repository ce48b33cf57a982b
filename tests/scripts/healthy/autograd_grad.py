"""Gradients by torch.autograd.grad, handed to the optimizer by hand (as in meta-learning codes)."""
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(3)


class PolyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 40)
        self.b = nn.Linear(40, 40)
        self.c = nn.Linear(40, 1)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        h = h + torch.tanh(self.b(h))
        return self.c(h)[:, 0]


def target(x):
    return x[:, 0] * x[:, 1] - 0.5 * x[:, 2] ** 2 + x[:, 0]


x, xv = torch.randn(4000, 3), torch.randn(800, 3)
y, yv = target(x) + 0.05 * torch.randn(4000), target(xv)
model = PolyNet()
params = list(model.parameters())
opt = torch.optim.Adam(params, lr=3e-3)
for epoch in range(8):
    model.train()
    for idx in torch.randperm(4000).split(80):
        loss = F.smooth_l1_loss(model(x[idx]), y[idx])
        grads = torch.autograd.grad(loss, params)
        for p, g in zip(params, grads):
            p.grad = g
        opt.step()
    model.eval()
    with torch.no_grad():
        print(f"epoch {epoch} train {loss.item():.4f} val {F.smooth_l1_loss(model(xv), yv).item():.4f}")
torch.save(model.state_dict(), "poly.pt")
