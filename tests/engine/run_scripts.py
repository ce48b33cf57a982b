"""Small training scripts as their users write them, for the tests of `convdebug run`."""

HEAD = """
import argparse, hashlib, os, signal, sys
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(160, 6)
y = (x[:, 0] > 0).long()


class Net(nn.Module):
    def __init__(self, out=2):
        super().__init__()
        self.a, self.drop, self.b = nn.Linear(6, 8), nn.Dropout(0.1), nn.Linear(8, out)

    def forward(self, x):
        return self.b(self.drop(F.relu(self.a(x))))


def say(*models):
    weights = b"".join(p.detach().numpy().tobytes() for model in models for p in model.parameters())
    print(hashlib.sha256(weights).hexdigest(), torch.rand(1).item())

"""

PLAIN = (
    HEAD
    + """
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--leave", type=int)
    parser.add_argument("--steps")
    wanted = parser.parse_args()
    train = DataLoader(TensorDataset(x[:120], y[:120]), batch_size=20, shuffle=True, num_workers=1)
    held_out = DataLoader(TensorDataset(x[120:], y[120:]), batch_size=20)
    model, criterion = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(wanted.epochs):
        model.train()
        for inputs, labels in train:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
        model.eval()
        total = right = 0
        with torch.no_grad():
            for inputs, labels in held_out:
                scores = model(inputs)
                total += criterion(scores, labels).item() * len(labels)
                right += (scores.argmax(1) == labels).sum().item()
        print("found", total / 40, right / 40)
        if wanted.leave is not None:
            sys.exit(wanted.leave)
    say(model)
    print(sys.argv, __file__, os.getcwd(), sys.path[0])


if __name__ == "__main__":
    main()
"""
)

GAN = (
    HEAD
    + """
class Generator(nn.Sequential):
    pass

class Critic(nn.Sequential):
    pass

maker = Generator(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6))
judge = Critic(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
of_maker, of_judge = torch.optim.Adam(maker.parameters(), 1e-3), torch.optim.Adam(judge.parameters(), 1e-3)
bce = nn.BCEWithLogitsLoss()
for step in range(6):
    of_judge.zero_grad()
    real = bce(judge(x[:16]), torch.ones(16, 1))
    real.backward()
    made = maker(torch.randn(16, 3))
    false = bce(judge(made.detach()), torch.zeros(16, 1))
    false.backward()
    of_judge.step()
    of_maker.zero_grad()
    fooled = bce(judge(made), torch.ones(16, 1))
    fooled.backward()
    of_maker.step()
    print(real.item() + false.item(), fooled.item())
say(maker, judge)
"""
)

ACCUMULATION = (
    HEAD
    + """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
for step in range(4):
    total = 0.0
    for part in range(3):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x[part * 20 : part * 20 + 20]), y[part * 20 : part * 20 + 20]) / 3
        scaler.scale(loss).backward()
        total += loss.item()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    print(total)
say(model)
"""
)

LBFGS = (
    HEAD
    + """
model = nn.Linear(6, 2)
optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)

def closure():
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    return loss

for step in range(4):
    print(optimizer.step(closure).item())
say(model)
"""
)

HAND = (
    HEAD
    + """
model = Net()
for step in range(5):
    loss = ((model(x) - F.one_hot(y, 2)) ** 2).mean()
    for parameter, gradient in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters()))):
        parameter.grad = gradient
    model.zero_grad()
    loss = ((model(x) - F.one_hot(y, 2)) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
    print(loss.item())
say(model)
"""
)

RAW = (
    HEAD
    + """
first = (torch.randn(6, 8) * 0.3).requires_grad_()
second = (torch.randn(8, 2) * 0.3).requires_grad_()
optimizer = torch.optim.SGD([first, second], lr=0.1)
for step in range(5):
    loss = F.cross_entropy(torch.relu(x @ first) @ second, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())
"""
)

TWO_OPTIMIZERS = (
    HEAD
    + """
from functools import partial
loss_of = partial(F.cross_entropy, reduction="mean")  # taken from torch before anything is trained
model = Net()
body, head = torch.optim.SGD(model.a.parameters(), lr=0.1), torch.optim.Adam(model.b.parameters(), lr=0.01)
for step in range(5):
    body.zero_grad()
    head.zero_grad()
    loss = loss_of(model(x), y)
    loss.backward()
    body.step()
    head.step()
    print(loss.item())
say(model)
"""
)

ENDS = (
    HEAD
    + """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(40):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step == 5:
        if sys.argv[1] == "raise":
            raise ValueError("the data are not there")
        os.kill(os.getpid(), int(sys.argv[1]))
        import time
        time.sleep(20)
"""
)

LABELS_OUT_OF_SIGHT = (
    HEAD
    + """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train = DataLoader(TensorDataset(x[:120], y[:120]), batch_size=40)
held_out = DataLoader(TensorDataset(x[120:], y[120:]), batch_size=20)
for inputs, labels in train:
    loss = F.cross_entropy(model(inputs), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
model.eval()
answers = []
with torch.no_grad():
    for inputs, labels in train:
        model(inputs)
    for inputs, labels in held_out:
        answers += model(inputs).max(1).indices.tolist()
    print(F.cross_entropy(model(x[120:]), y[120:]).item() if "tell" in sys.argv else "")
"""
)

SAMPLE_BY_SAMPLE = (
    HEAD
    + """
from torch.func import functional_call, grad, vmap

model = Net().eval()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def loss(weights, example, label):
    return F.cross_entropy(functional_call(model, weights, (example[None],)), label[None])


for _ in range(12):
    weights = {name: each.detach() for name, each in model.named_parameters()}
    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(weights, x, y)
    for name, each in model.named_parameters():
        each.grad = gradients[name].mean(0)
    optimizer.step()
say(model)
"""
)
