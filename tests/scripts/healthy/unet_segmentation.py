"""A small U-Net: cross entropy per pixel, intersection over union on held-out pictures."""
import sys
import time
import torch
import torch.nn as nn
import torch.nn.functional as F


def double(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
                         nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class UNet(nn.Module):
    def __init__(self, classes=3, w=6):
        super().__init__()
        self.down1, self.down2, self.bottom = double(1, w), double(w, 2 * w), double(2 * w, 4 * w)
        self.up2, self.dec2 = nn.ConvTranspose2d(4 * w, 2 * w, 2, 2), double(4 * w, 2 * w)
        self.up1, self.dec1 = nn.ConvTranspose2d(2 * w, w, 2, 2), double(2 * w, w)
        self.final = nn.Conv2d(w, classes, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.bottom(F.max_pool2d(b, 2))
        b = self.dec2(torch.cat([self.up2(c), b], dim=1))
        a = self.dec1(torch.cat([self.up1(b), a], dim=1))
        return self.final(a)


def discs_and_boxes(n, seed, size=20):
    g = torch.Generator().manual_seed(seed)
    u = torch.arange(size).float()
    cy, cx, by, bx = (torch.rand(n, 1, 1, generator=g) * (size - 8) + 4 for _ in range(4))
    disc = (u[None, :, None] - cy) ** 2 + (u[None, None, :] - cx) ** 2 < 16
    box = ((u[None, :, None] - by).abs() < 4) & ((u[None, None, :] - bx).abs() < 3)
    mask = torch.zeros(n, size, size, dtype=torch.long)
    mask[disc] = 1
    mask[box] = 2
    image = mask.float() - 0.3 + 0.4 * torch.randn(n, size, size, generator=g)
    return image[:, None], mask


def iou(pred, mask):
    return [((pred == c) & (mask == c)).sum().item() / max(((pred == c) | (mask == c)).sum().item(), 1) for c in range(3)]


if __name__ == "__main__":
    torch.manual_seed(0)
    x, m = discs_and_boxes(512, 0)
    xv, mv = discs_and_boxes(96, 1)
    net = UNet()
    opt = torch.optim.Adam(net.parameters(), lr=1e-2)
    spent = steps = 0
    for epoch in range(4):
        net.train()
        for idx in torch.randperm(len(x)).split(16):
            t0 = time.perf_counter()
            loss = F.cross_entropy(net(x[idx]), m[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
            spent += time.perf_counter() - t0
            steps += 1
        net.eval()
        with torch.no_grad():
            out = net(xv)
        print(f"epoch {epoch} train {loss.item():.4f} val {F.cross_entropy(out, mv).item():.4f} iou", " ".join(f"{v:.3f}" for v in iou(out.argmax(1), mv)))
    print(f"{spent / steps * 1000:.2f} ms per step", file=sys.stderr)
    torch.save(net.state_dict(), "unet.pt")
