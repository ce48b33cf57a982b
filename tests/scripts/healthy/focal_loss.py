"""A loss written by hand (focal), nothing of torch's loss functions in it."""
import torch
from torch import nn


class FocalLoss(nn.Module):
    def __init__(self, gamma=1.5):
        super().__init__()
        self.gamma = gamma

    def forward(self, logits, target):
        logp = logits - logits.logsumexp(dim=1, keepdim=True)
        logpt = logp.gather(1, target[:, None]).squeeze(1)
        return (-((1 - logpt.exp()) ** self.gamma) * logpt).mean()


def sample(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 10, generator=g)
    r = x[:, :3].norm(dim=1) + 0.1 * torch.randn(n, generator=g)
    return x, (r > 1.2).long() + (r > 1.9).long()


torch.manual_seed(0)
(x_train, y_train), (x_val, y_val) = sample(5000, 1), sample(1000, 2)
model = nn.Sequential(nn.Linear(10, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 3))
focal = FocalLoss()
opt = torch.optim.AdamW(model.parameters(), lr=2e-3)
for epoch in range(8):
    model.train()
    perm = torch.randperm(len(x_train))
    for k in range(0, len(perm), 64):
        idx = perm[k : k + 64]
        opt.zero_grad()
        loss = focal(model(x_train[idx]), y_train[idx])
        loss.backward()
        opt.step()
    model.eval()
    with torch.no_grad():
        out = model(x_val)
        print(epoch, f"train {loss.item():.4f} val {focal(out, y_val).item():.4f} acc {(out.argmax(1) == y_val).float().mean().item():.3f}")
torch.save(model.state_dict(), "focal.pt")
