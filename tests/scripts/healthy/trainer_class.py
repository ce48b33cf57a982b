"""A Trainer in the object-oriented manner: logging, history, checkpoints of the best model."""
import logging
import sys
from collections import defaultdict
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
log = logging.getLogger("trainer")


class AverageMeter:
    def __init__(self):
        self.total = self.count = 0

    def update(self, value, n=1):
        self.total += value * n
        self.count += n

    @property
    def avg(self):
        return self.total / max(self.count, 1)


class Trainer:
    def __init__(self, model, optimizer, criterion, train_loader, val_loader, device="cpu", folder="runs"):
        self.model = model.to(device)
        self.optimizer = optimizer
        self.criterion = criterion
        self.train_loader, self.val_loader = train_loader, val_loader
        self.device = device
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.history = defaultdict(list)
        self.best = float("inf")
        self.step = 0

    def _batch(self, batch):
        inputs, targets = (each.to(self.device) for each in batch)
        outputs = self.model(inputs)
        return outputs, targets, self.criterion(outputs, targets)

    def train_epoch(self):
        self.model.train()
        meter = AverageMeter()
        for batch in self.train_loader:
            _, targets, loss = self._batch(batch)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            meter.update(loss.item(), len(targets))
            self.step += 1
        return meter.avg

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        loss_meter, acc_meter = AverageMeter(), AverageMeter()
        for batch in self.val_loader:
            outputs, targets, loss = self._batch(batch)
            loss_meter.update(loss.item(), len(targets))
            acc_meter.update((outputs.argmax(1) == targets).float().mean().item(), len(targets))
        return loss_meter.avg, acc_meter.avg

    def fit(self, epochs):
        for epoch in range(epochs):
            train_loss = self.train_epoch()
            val_loss, val_acc = self.validate()
            for key, value in dict(train_loss=train_loss, val_loss=val_loss, val_acc=val_acc).items():
                self.history[key].append(value)
            log.info("epoch %d step %d train %.4f val %.4f acc %.3f", epoch, self.step, train_loss, val_loss, val_acc)
            if val_loss < self.best:
                self.best = val_loss
                torch.save(self.model.state_dict(), self.folder / "best.pt")
        torch.save({"weights": self.model.state_dict(), "history": dict(self.history)}, self.folder / "last.pt")


def wine(n, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 3, (n,), generator=g)
    means = torch.randn(3, 13, generator=torch.Generator().manual_seed(1234)) * 0.6
    return TensorDataset(means[y] + torch.randn(n, 13, generator=g), y)


if __name__ == "__main__":
    torch.manual_seed(40)
    net = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
    trainer = Trainer(
        net,
        torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9),
        nn.CrossEntropyLoss(),
        DataLoader(wine(5000, 0), batch_size=50, shuffle=True),
        DataLoader(wine(1000, 1), batch_size=200),
    )
    trainer.fit(4)
