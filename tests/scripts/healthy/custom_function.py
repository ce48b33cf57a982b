"""A binarising layer with a straight-through gradient: an autograd.Function of one's own."""
import torch
from torch import nn
from torch.autograd import Function


class SignSTE(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


class BinaryNet(nn.Module):
    def __init__(self, bits=64):
        super().__init__()
        self.enc = nn.Linear(20, bits)
        self.norm = nn.BatchNorm1d(bits)
        self.dec = nn.Linear(bits, 4)

    def forward(self, x):
        return self.dec(SignSTE.apply(self.norm(self.enc(x))) / 4)


def data(n, gen):
    y = torch.randint(0, 4, (n,), generator=gen)
    x = torch.randn(n, 20, generator=gen)
    x[:, :4] += 1.8 * nn.functional.one_hot(y, 4)
    x[:, 4:8] -= 1.2 * nn.functional.one_hot(y, 4)
    return x, y


gen = torch.Generator().manual_seed(5)
torch.manual_seed(5)
x, y = data(5000, gen)
xv, yv = data(1000, gen)
net = BinaryNet()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
lossf = nn.CrossEntropyLoss()
for ep in range(6):
    net.train()
    for i in range(0, 5000, 50):
        opt.zero_grad()
        loss = lossf(net(x[i : i + 50]), y[i : i + 50])
        loss.backward()
        opt.step()
    net.eval()
    with torch.no_grad():
        out = net(xv)
    print(ep, "%.4f" % loss.item(), "val %.4f" % lossf(out, yv).item(), "acc %.3f" % (out.argmax(1) == yv).float().mean().item())
torch.save(net.state_dict(), "binary.pt")
