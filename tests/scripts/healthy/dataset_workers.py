"""Own Dataset with augmentation on the fly, loaded by two worker processes."""
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class ShapesDataset(Dataset):
    NAMES = ["circle", "square", "cross"]

    def __init__(self, length, seed, train=True):
        self.length, self.seed, self.train = length, seed, train
        self.labels = np.random.default_rng(seed).integers(0, 3, length)
        yy, xx = np.mgrid[:18, :18] - 8.5
        self.grid = yy, xx

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        rng = np.random.default_rng((self.seed, i))
        yy, xx = self.grid
        size, dx, dy = rng.uniform(3, 6), *rng.uniform(-2, 2, 2)
        u, v = np.abs(xx - dx), np.abs(yy - dy)
        mask = [np.hypot(u, v) < size, np.maximum(u, v) < size, np.minimum(u, v) < size / 3][self.labels[i]]
        image = mask.astype(np.float32) + rng.normal(0, 0.4, mask.shape).astype(np.float32)
        if self.train and torch.rand(()) < 0.5:
            image = image[:, ::-1].copy()
        return torch.from_numpy(image)[None] - 0.4, int(self.labels[i])


def build_model():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 9, 3))


def main():
    torch.manual_seed(0)
    train_loader = DataLoader(ShapesDataset(1800, 1), batch_size=60, shuffle=True, num_workers=2, persistent_workers=True)
    val_loader = DataLoader(ShapesDataset(300, 2, train=False), batch_size=100, num_workers=1)
    net, loss_fn = build_model(), nn.CrossEntropyLoss()
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    for epoch in range(3):
        net.train()
        for step, (images, labels) in enumerate(train_loader):
            opt.zero_grad()
            loss = loss_fn(net(images), labels)
            loss.backward()
            opt.step()
        net.eval()
        correct, vloss = 0, 0.0
        with torch.no_grad():
            for images, labels in val_loader:
                out = net(images)
                vloss += loss_fn(out, labels).item() * len(labels)
                correct += (out.argmax(1) == labels).sum().item()
        print(f"epoch {epoch}: train {loss.item():.4f} val {vloss / 300:.4f} accuracy {correct / 300:.2%}")
    torch.save(net.state_dict(), "shapes.pt")


if __name__ == "__main__":
    main()
