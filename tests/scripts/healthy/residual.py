"""A ten-layer residual net with batch norm on small synthetic pictures."""
import sys, time
import torch
from torch import nn
from torch.nn import functional as F


def conv3(i, o, stride=1):
    return nn.Conv2d(i, o, 3, stride, 1, bias=False)


class BasicBlock(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.conv1, self.bn1 = conv3(cin, cout, stride), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = conv3(cout, cout), nn.BatchNorm2d(cout)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Identity()
        if stride != 1 or cin != cout:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, n_classes=5, width=8):
        super().__init__()
        self.stem = nn.Sequential(conv3(3, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.layer1 = BasicBlock(width, width)
        self.layer2 = BasicBlock(width, 2 * width, 2)
        self.layer3 = BasicBlock(2 * width, 4 * width, 2)
        self.head = nn.Linear(4 * width, n_classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


def pictures(n, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(5, (n,), generator=g)
    base = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(99))
    x = F.interpolate(base[y], size=16, mode="bilinear")
    x = x * (0.7 + 0.6 * torch.rand(n, 1, 1, 1, generator=g)) + 2.5 * torch.randn(n, 3, 16, 16, generator=g)
    return x, y


@torch.no_grad()
def evaluate(model, x, y):
    model.eval()
    logits = torch.cat([model(part) for part in x.split(128)])
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item()


def main():
    torch.manual_seed(3)
    x, y = pictures(1600, 0)
    xv, yv = pictures(384, 1)
    model = ResNet()
    epochs, bs = 3, 32
    steps = epochs * (len(x) // bs)
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.05, total_steps=steps, pct_start=0.3)
    spent = 0.0
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(x))
        for idx in order.split(bs):
            t = time.perf_counter()
            loss = F.cross_entropy(model(x[idx]), y[idx])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            sched.step()
            spent += time.perf_counter() - t
        vl, va = evaluate(model, xv, yv)
        print(f"{epoch}: last train loss {loss.item():.3f}, val loss {vl:.3f}, val acc {va:.3f}, lr {sched.get_last_lr()[0]:.4f}")
    print(f"{spent / steps * 1000:.2f} ms per step", file=sys.stderr)
    torch.save({"model": model.state_dict(), "epochs": epochs}, "resnet.pt")


if __name__ == "__main__":
    main()
