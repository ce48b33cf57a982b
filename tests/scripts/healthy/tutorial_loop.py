# everything at module level, like a notebook that was exported
# %%
import time
import sys

import torch
from torch import nn, optim
import torch.nn.functional as F

torch.manual_seed(42)

# %% data: coloured textures, four classes
classes = ("stripes", "checks", "blob", "noise")


def make_images(n, gen):
    y = torch.randint(0, 4, (n,), generator=gen)
    grid = torch.arange(20).float()
    xx, yy = torch.meshgrid(grid, grid, indexing="ij")
    phase = torch.rand(n, 1, 1, generator=gen) * 6.28
    stripes = torch.sin(0.9 * xx + phase)
    checks = torch.sin(0.9 * xx + phase) * torch.sin(0.9 * yy + phase)
    cx = torch.rand(n, 1, 1, generator=gen) * 8 + 6
    blob = 2 * torch.exp(-((xx - cx) ** 2 + (yy - cx) ** 2) / 18) - 0.5
    noise = torch.randn(n, 20, 20, generator=gen)
    stack = torch.stack([stripes, checks, blob, noise], 1)
    picked = stack[torch.arange(n), y]
    colour = 0.5 + torch.rand(n, 3, 1, 1, generator=gen)
    return picked[:, None] * colour + 1.5 * torch.randn(n, 3, 20, 20, generator=gen), y


gen = torch.Generator().manual_seed(0)
X, Y = make_images(2400, gen)
Xt, Yt = make_images(480, gen)
trainset = torch.utils.data.TensorDataset(X, Y)
testset = torch.utils.data.TensorDataset(Xt, Yt)
trainloader = torch.utils.data.DataLoader(trainset, batch_size=48, shuffle=True, num_workers=0)
testloader = torch.utils.data.DataLoader(testset, batch_size=48, shuffle=False, num_workers=0)


# %% network
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(12, 24, 3)
        self.fc1 = nn.Linear(24 * 3 * 3, 60)
        self.fc2 = nn.Linear(60, 4)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = self.fc2(x)
        return x


net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

# %% train
started = time.perf_counter()
for epoch in range(3):
    running_loss = 0.0
    for i, data in enumerate(trainloader, 0):
        inputs, labels = data
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        if i % 25 == 24:
            print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 25:.3f}")
            running_loss = 0.0
print(f"{1000 * (time.perf_counter() - started) / (3 * len(trainloader)):.2f} ms per step", file=sys.stderr)
print("Finished Training")

# %% how good is it
net.eval()
correct = {c: 0 for c in classes}
total = {c: 0 for c in classes}
with torch.no_grad():
    for images, labels in testloader:
        _, predictions = torch.max(net(images), 1)
        for label, prediction in zip(labels, predictions):
            if label == prediction:
                correct[classes[label]] += 1
            total[classes[label]] += 1
for c in classes:
    print(f"accuracy for {c:8s}: {100 * correct[c] / total[c]:.1f} %")

torch.save(net.state_dict(), "tutorial_net.pth")
