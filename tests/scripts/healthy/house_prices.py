#!/usr/bin/env python
"""Regression on a table: standardise, train an MLP with MSE, report RMSE."""
from argparse import ArgumentParser
from pathlib import Path

import torch
from torch import nn, Tensor
from torch.utils.data import DataLoader, TensorDataset


def make_table(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    gen = torch.Generator().manual_seed(seed)
    area = torch.rand(rows, generator=gen) * 200 + 30
    rooms = (area / 30 + torch.randn(rows, generator=gen)).round().clamp(min=1)
    age = torch.rand(rows, generator=gen) * 80
    distance = torch.rand(rows, generator=gen) * 30
    quality = torch.randint(1, 6, (rows,), generator=gen).float()
    price = 2.5 * area + 8 * rooms - 0.9 * age - 4 * distance + 0.35 * quality * area + 15 * torch.randn(rows, generator=gen)
    return torch.stack([area, rooms, age, distance, quality], dim=1), price


class Regressor(nn.Module):
    def __init__(self, features: int, hidden: int = 48) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(-1)


def rmse(model: nn.Module, loader: DataLoader, criterion: nn.Module, scale: float) -> float:
    model.eval()
    squares = 0.0
    with torch.no_grad():
        for features, price in loader:
            squares += criterion(model(features), price).item() * len(price)
    return (squares / len(loader.dataset)) ** 0.5 * scale


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("weights") / "regressor.pt")
    args = parser.parse_args()
    torch.manual_seed(0)

    x, y = make_table(4000, 0)
    mean, std, y_mean, y_std = x.mean(0), x.std(0), y.mean(), y.std()
    x, y = (x - mean) / std, (y - y_mean) / y_std
    xv, yv = make_table(800, 1)
    xv, yv = (xv - mean) / std, (yv - y_mean) / y_std
    train_loader = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True)
    val_loader = DataLoader(TensorDataset(xv, yv), batch_size=200)

    model = Regressor(x.shape[1])
    criterion = nn.MSELoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(args.epochs):
        model.train()
        for features, price in train_loader:
            optimizer.zero_grad()
            prediction = model(features)
            loss = criterion(prediction, price)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: validation RMSE {rmse(model, val_loader, criterion, y_std.item()):.2f}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), args.out)


if __name__ == "__main__":
    main()
