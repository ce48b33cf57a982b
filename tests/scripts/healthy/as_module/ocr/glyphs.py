import torch

GLYPHS = {
    "x": ["10001", "01010", "00100", "01010", "10001"],
    "o": ["01110", "10001", "10001", "10001", "01110"],
    "t": ["11111", "00100", "00100", "00100", "00100"],
    "l": ["10000", "10000", "10000", "10000", "11111"],
    "h": ["10001", "10001", "11111", "10001", "10001"],
}


def dataset(n, seed):
    gen = torch.Generator().manual_seed(seed)
    table = torch.tensor([[[float(c) for c in row] for row in rows] for rows in GLYPHS.values()])
    labels = torch.randint(0, len(table), (n,), generator=gen)
    canvas = torch.zeros(n, 1, 9, 9)
    for k in range(n):
        r, c = torch.randint(0, 5, (2,), generator=gen).tolist()
        canvas[k, 0, r : r + 5, c : c + 5] = table[labels[k]]
    return canvas + 0.35 * torch.randn(canvas.shape, generator=gen) - 0.15, labels
