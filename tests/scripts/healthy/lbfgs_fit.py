# fit a small physics-like curve with L-BFGS and a closure
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)

x = torch.linspace(-3, 3, 300).unsqueeze(1)
y = torch.sin(2 * x) * torch.exp(-0.2 * x**2) + 0.02 * torch.randn_like(x)
xv = torch.linspace(-2.97, 2.97, 150).unsqueeze(1)
yv = torch.sin(2 * xv) * torch.exp(-0.2 * xv**2)

net = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
optimizer = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=5, history_size=20)
mse = nn.MSELoss()


def closure():
    optimizer.zero_grad()
    loss = mse(net(x), y)
    loss.backward()
    return loss


for step in range(120):
    loss = optimizer.step(closure)
    if step % 20 == 0 or step == 119:
        net.eval()
        with torch.no_grad():
            val = mse(net(xv), yv)
        net.train()
        print(f"{step:4d}  {loss.item():.6f}  {val.item():.6f}")

torch.save(net.state_dict(), "lbfgs.pt")
