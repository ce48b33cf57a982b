"""Mixed precision with a GradScaler that really scales (works on the CPU too)."""
import torch
import torch.nn as nn
from torch.amp import GradScaler, autocast


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        return self.head(self.body(x))


def make(n, gen):
    x = torch.randn(n, 20, generator=gen)
    score = torch.stack([x[:, 0] * x[:, 1], x[:, 2] - x[:, 3], x[:, 4:8].sum(1) / 2], 1)
    return x, score.argmax(1)


def run():
    torch.manual_seed(8)
    gen = torch.Generator().manual_seed(80)
    (x, y), (xv, yv) = make(5000, gen), make(1000, gen)
    model, loss_fn = Classifier(), nn.CrossEntropyLoss()
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    scaler = GradScaler("cpu", init_scale=2.0**10)
    for epoch in range(6):
        model.train()
        for idx in torch.randperm(len(x)).split(100):
            with autocast("cpu", dtype=torch.bfloat16):
                loss = loss_fn(model(x[idx]), y[idx])
            opt.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
        model.eval()
        with torch.no_grad():
            val_out = model(xv)
        print(epoch, "val", round(loss_fn(val_out, yv).item(), 4), round((val_out.argmax(1) == yv).float().mean().item(), 3), "scale", scaler.get_scale())
    torch.save({"net": model.state_dict(), "scaler": scaler.state_dict()}, "checkpoint.pt")


run()
