"""Teacher and student: first the big one, then the small one learns from its soft answers."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(12)
T, ALPHA = 3.0, 0.7


def make(n):
    y = torch.randint(0, 6, (n,))
    g = torch.Generator().manual_seed(3)
    a, b = torch.randn(6, 30, generator=g), torch.randn(6, 30, generator=g)
    pick = (torch.rand(n, 1) < 0.5).float()
    return pick * a[y] + (1 - pick) * b[y] + 1.1 * torch.randn(n, 30), y


def mlp(width):
    return nn.Sequential(nn.Linear(30, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 6))


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        return (net(x).argmax(1) == y).float().mean().item()


x, y = make(6000)
xv, yv = make(1500)

teacher = mlp(128)
opt_t = torch.optim.Adam(teacher.parameters(), lr=1e-3)
for epoch in range(3):
    teacher.train()
    for idx in torch.randperm(6000).split(60):
        loss = F.cross_entropy(teacher(x[idx]), y[idx])
        opt_t.zero_grad()
        loss.backward()
        opt_t.step()
    print(f"teacher epoch {epoch} accuracy {accuracy(teacher, xv, yv):.3f}")

teacher.eval()
for p in teacher.parameters():
    p.requires_grad = False

student = mlp(24)
opt_s = torch.optim.Adam(student.parameters(), lr=2e-3)
for epoch in range(4):
    student.train()
    for idx in torch.randperm(6000).split(60):
        with torch.no_grad():
            soft = teacher(x[idx])
        scores = student(x[idx])
        distill = F.kl_div(F.log_softmax(scores / T, 1), F.softmax(soft / T, 1), reduction="batchmean") * T * T
        loss = ALPHA * distill + (1 - ALPHA) * F.cross_entropy(scores, y[idx])
        opt_s.zero_grad()
        loss.backward()
        opt_s.step()
    print(f"student epoch {epoch} loss {loss.item():.3f} accuracy {accuracy(student, xv, yv):.3f}")

torch.save(student.state_dict(), "student.pt")
