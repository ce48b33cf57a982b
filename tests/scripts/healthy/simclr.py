"""Contrastive pre-training (SimCLR): two views through one encoder, cross entropy over similarities."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32))
        self.projector = nn.Sequential(nn.ReLU(), nn.Linear(32, 16))

    def forward(self, x):
        return F.normalize(self.projector(self.backbone(x)), dim=1)


def view(x):
    mask = (torch.rand_like(x) > 0.2).float()
    return x * mask + 0.2 * torch.randn_like(x)


def info_nce(z1, z2, temperature=0.5):
    z = torch.cat([z1, z2])
    sim = z @ z.t() / temperature
    sim.fill_diagonal_(-1e4)
    n = len(z1)
    labels = torch.cat([torch.arange(n) + n, torch.arange(n)])
    return F.cross_entropy(sim, labels)


def main():
    torch.manual_seed(33)
    mix = torch.randn(8, 32)
    x, xv = torch.randn(5120, 8) @ mix / 2.8, torch.randn(512, 8) @ mix / 2.8
    enc = Encoder()
    opt = torch.optim.Adam(enc.parameters(), lr=1e-3)
    for epoch in range(5):
        enc.train()
        for batch in x[torch.randperm(len(x))].split(64):
            loss = info_nce(enc(view(batch)), enc(view(batch)))
            opt.zero_grad()
            loss.backward()
            opt.step()
        enc.eval()
        with torch.no_grad():
            val = sum(info_nce(enc(view(b)), enc(view(b))).item() for b in xv.split(64)) / 8
        print(f"epoch {epoch}: train {loss.item():.4f} val {val:.4f}")
    torch.save(enc.backbone.state_dict(), "backbone.pt")


if __name__ == "__main__":
    main()
