"""A siamese network: one encoder called twice per step, contrastive loss by hand."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader


class Pairs(Dataset):
    def __init__(self, size, seed):
        g = torch.Generator().manual_seed(seed)
        proto = torch.randn(12, 24, generator=torch.Generator().manual_seed(0))
        a = torch.randint(0, 12, (size,), generator=g)
        same = torch.rand(size, generator=g) < 0.5
        b = torch.where(same, a, (a + torch.randint(1, 12, (size,), generator=g)) % 12)
        noise = 0.7 * torch.randn(2, size, 24, generator=g)
        self.left, self.right, self.same = proto[a] + noise[0], proto[b] + noise[1], same.float()

    def __len__(self):
        return len(self.same)

    def __getitem__(self, k):
        return self.left[k], self.right[k], self.same[k]


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 16))

    def forward_once(self, x):
        return self.encoder(x)

    def forward(self, left, right):
        return self.forward_once(left), self.forward_once(right)


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0):
        super().__init__()
        self.margin = margin

    def forward(self, a, b, same):
        d = F.pairwise_distance(a, b)
        return torch.mean(same * d.pow(2) + (1 - same) * F.relu(self.margin - d).pow(2))


def main():
    torch.manual_seed(0)
    train, val = DataLoader(Pairs(6000, 1), 60, shuffle=True), DataLoader(Pairs(1200, 2), 300)
    net, crit = Siamese(), ContrastiveLoss()
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    for epoch in range(5):
        net.train()
        for left, right, same in train:
            a, b = net(left, right)
            loss = crit(a, b, same)
            opt.zero_grad()
            loss.backward()
            opt.step()
        net.eval()
        total = right_count = 0
        with torch.no_grad():
            for left, right, same in val:
                a, b = net(left, right)
                total += crit(a, b, same).item()
                right_count += ((F.pairwise_distance(a, b) < 1.0) == same.bool()).sum().item()
        print(f"epoch {epoch}: train {loss.item():.4f} val {total / len(val):.4f} pairs right {right_count / 1200:.3f}")
    torch.save(net.state_dict(), "siamese.pt")


main()
