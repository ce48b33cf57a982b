import torch


def load(split):
    """Gradients of colour in one of four directions, with noise."""
    n, seed = {"train": (1600, 0), "val": (400, 1)}[split]
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (n,), generator=g)
    ramp = torch.linspace(-1, 1, 16)
    kinds = torch.stack([ramp.expand(16, 16), -ramp.expand(16, 16), ramp[:, None].expand(16, 16), -ramp[:, None].expand(16, 16)])
    x = kinds[y][:, None] * torch.rand(n, 3, 1, 1, generator=g) + 1.2 * torch.randn(n, 3, 16, 16, generator=g)
    return torch.utils.data.TensorDataset(x, y)
