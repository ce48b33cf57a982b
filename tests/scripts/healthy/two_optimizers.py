"""One model, two optimizers: SGD for the trunk, Adam for the embedding and the head."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Recommender(nn.Module):
    def __init__(self, users=200, items=100, dim=12):
        super().__init__()
        self.user = nn.Embedding(users, dim)
        self.item = nn.Embedding(items, dim)
        self.trunk = nn.Sequential(nn.Linear(3 * dim, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU())
        self.head = nn.Linear(24, 1)

    def forward(self, u, i):
        h = torch.cat([self.user(u), self.item(i), self.user(u) * self.item(i)], dim=-1)
        return self.head(self.trunk(h)).squeeze(-1)


def ratings(n, seed):
    taste = torch.Generator().manual_seed(100)
    pu, qi = torch.randn(200, 4, generator=taste), torch.randn(100, 4, generator=taste)
    g = torch.Generator().manual_seed(seed)
    u, i = torch.randint(0, 200, (n,), generator=g), torch.randint(0, 100, (n,), generator=g)
    r = (pu[u] * qi[i]).sum(1) / 2 + 0.3 * torch.randn(n, generator=g)
    return u, i, r


if __name__ == "__main__":
    torch.manual_seed(6)
    u, i, r = ratings(12000, 0)
    uv, iv, rv = ratings(1500, 1)
    m = Recommender()
    opt_dense = torch.optim.SGD(m.trunk.parameters(), lr=0.05, momentum=0.9)
    opt_rest = torch.optim.Adam(list(m.user.parameters()) + list(m.item.parameters()) + list(m.head.parameters()), lr=1e-2)
    for epoch in range(6):
        m.train()
        for b in torch.randperm(len(u)).split(100):
            loss = F.mse_loss(m(u[b], i[b]), r[b])
            opt_dense.zero_grad()
            opt_rest.zero_grad()
            loss.backward()
            opt_dense.step()
            opt_rest.step()
        m.eval()
        with torch.no_grad():
            print(f"{epoch}: train {loss:.3f}, val {F.mse_loss(m(uv, iv), rv):.3f}")
    torch.save(m.state_dict(), "recommender.pt")
