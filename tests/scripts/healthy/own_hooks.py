# a user who already looks inside: forward hooks, gradient hooks, a step hook of the optimizer
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(10)
model = nn.Sequential(nn.Linear(12, 32), nn.ReLU(inplace=True), nn.Linear(32, 32), nn.ReLU(inplace=True), nn.Linear(32, 3))
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

sparsity, norms, counter = {}, {}, [0]


def remember(name):
    def hook(module, args, output):
        sparsity[name] = (output == 0).float().mean().item()
    return hook


for name, module in model.named_modules():
    if isinstance(module, nn.ReLU):
        module.register_forward_hook(remember(name))
for name, p in model.named_parameters():
    p.register_hook(lambda g, name=name: norms.__setitem__(name, g.norm().item()))
    p.register_hook(lambda g: g.clamp(-1, 1))
opt.register_step_post_hook(lambda *a: counter.__setitem__(0, counter[0] + 1))


def get(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 12, generator=g)
    return x, (x[:, :4].sum(1) + x[:, 4] * x[:, 5] > 0).long() + (x[:, 6] > 1).long()


x, y = get(5000, 0)
xv, yv = get(1000, 1)
for epoch in range(6):
    model.train()
    for idx in torch.randperm(5000).split(50):
        loss = F.cross_entropy(model(x[idx]), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
    s = {k: round(v, 3) for k, v in sparsity.items()}
    model.eval()
    with torch.no_grad():
        out = model(xv)
        vl = F.cross_entropy(out, yv).item()
        acc = (out.argmax(1) == yv).float().mean().item()
    print(f"epoch {epoch} steps {counter[0]} train {loss.item():.4f} val {vl:.4f} acc {acc:.3f} sparsity {s} first gradient {norms['0.weight']:.5f}")

torch.save(model.state_dict(), "hooked.pt")
