"""Denoising diffusion on points: the network predicts the noise."""
import math
import torch
from torch import nn

STEPS = 60
betas = torch.linspace(1e-4, 0.06, STEPS)
alphas_bar = torch.cumprod(1 - betas, 0)


class Sinusoidal(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.register_buffer("freqs", torch.exp(torch.arange(dim // 2) * (-math.log(1e3) / (dim // 2))))

    def forward(self, t):
        a = t[:, None].float() * self.freqs
        return torch.cat([a.sin(), a.cos()], 1)


class Denoiser(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.time = nn.Sequential(Sinusoidal(32), nn.Linear(32, width), nn.SiLU())
        self.inp = nn.Linear(2, width)
        self.mid = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])
        self.out = nn.Linear(width, 2)

    def forward(self, x, t):
        h = self.inp(x) + self.time(t)
        for layer in self.mid:
            h = h + nn.functional.silu(layer(h))
        return self.out(h)


def swiss_roll(n, g):
    t = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=g))
    return torch.stack([t * t.cos(), t * t.sin()], 1) / 7 + 0.05 * torch.randn(n, 2, generator=g)


def noisy(x, g=None):
    t = torch.randint(0, STEPS, (len(x),), generator=g)
    eps = torch.randn(x.shape, generator=g)
    a = alphas_bar[t][:, None]
    return a.sqrt() * x + (1 - a).sqrt() * eps, t, eps


def main():
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(1)
    x, xv = swiss_roll(8000, g), swiss_roll(2000, g)
    xt_v, t_v, eps_v = noisy(xv, g)
    model = Denoiser()
    opt = torch.optim.AdamW(model.parameters(), lr=2e-3)
    mse = nn.MSELoss()
    for epoch in range(8):
        model.train()
        for batch in x[torch.randperm(len(x))].split(128):
            xt, t, eps = noisy(batch)
            loss = mse(model(xt, t), eps)
            opt.zero_grad()
            loss.backward()
            opt.step()
        model.eval()
        with torch.no_grad():
            print(f"epoch {epoch}: {loss.item():.4f} val {mse(model(xt_v, t_v), eps_v).item():.4f}")
    torch.save(model.state_dict(), "denoiser.pt")


if __name__ == "__main__":
    main()
