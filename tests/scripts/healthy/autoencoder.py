import os
import torch
from torch import nn
from torch.utils.data import DataLoader

OUT = os.environ.get("OUT", "autoencoder.pt")


class AutoEncoder(nn.Module):
    def __init__(self, code=8):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(True),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(True),
            nn.Flatten(), nn.Linear(16 * 4 * 4, code))
        self.decoder = nn.Sequential(
            nn.Linear(code, 16 * 4 * 4), nn.ReLU(True), nn.Unflatten(1, (16, 4, 4)),
            nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1), nn.ReLU(True),
            nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1))

    def forward(self, x):
        return self.decoder(self.encoder(x))


def waves(n, seed):
    g = torch.Generator().manual_seed(seed)
    f, p = torch.rand(2, n, 1, 1, generator=g) * 0.6 + 0.2
    a = torch.rand(n, 1, 1, generator=g) * 6.28
    u = torch.arange(16.0)
    img = torch.sin(f * u[:, None] + p * u[None, :] + a)
    return (img + 0.1 * torch.randn(n, 16, 16, generator=g)).unsqueeze(1)


if __name__ == "__main__":
    torch.manual_seed(11)
    train_loader = DataLoader(waves(2500, 5), batch_size=50, shuffle=True, drop_last=True)
    val = waves(400, 6)
    ae = AutoEncoder()
    opt = torch.optim.Adam(ae.parameters(), lr=2e-3)
    mse = nn.MSELoss()
    for epoch in range(6):
        ae.train()
        losses = []
        for img in train_loader:
            recon = ae(img)
            loss = mse(recon, img)
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        ae.eval()
        with torch.inference_mode():
            val_mse = mse(ae(val), val).item()
        print("epoch %d train %.4f val %.4f" % (epoch, sum(losses) / len(losses), val_mse))
    torch.save(ae.state_dict(), OUT)
