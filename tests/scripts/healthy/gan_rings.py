import torch
import torch.nn as nn

torch.manual_seed(0)
BATCH, Z = 128, 8


def real_samples(n):
    k = torch.randint(0, 8, (n,))
    angle = k * (2 * 3.14159 / 8)
    centres = torch.stack([angle.cos(), angle.sin()], 1) * 1.5
    return centres + 0.15 * torch.randn(n, 2)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(Z, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 2))

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))

    def forward(self, x):
        return self.main(x).squeeze(1)


netG, netD = Generator(), Discriminator()
optD = torch.optim.Adam(netD.parameters(), lr=1e-3, betas=(0.5, 0.999))
optG = torch.optim.Adam(netG.parameters(), lr=5e-4, betas=(0.5, 0.999))
criterion = nn.BCEWithLogitsLoss()
held_out = real_samples(512)
fixed_noise = torch.randn(512, Z)

for it in range(700):
    # (1) update D
    real = real_samples(BATCH)
    netD.zero_grad()
    errD_real = criterion(netD(real), torch.full((BATCH,), 0.9))
    errD_real.backward()
    fake = netG(torch.randn(BATCH, Z))
    errD_fake = criterion(netD(fake.detach()), torch.zeros(BATCH))
    errD_fake.backward()
    optD.step()

    # (2) update G
    netG.zero_grad()
    errG = criterion(netD(fake), torch.ones(BATCH))
    errG.backward()
    optG.step()

    if it % 100 == 99:
        netG.eval(); netD.eval()
        with torch.no_grad():
            samples = netG(fixed_noise)
            d_loss = criterion(netD(held_out), torch.ones(512)) + criterion(netD(samples), torch.zeros(512))
            radius = samples.norm(dim=1)
        print(f"[{it + 1}] D {(errD_real + errD_fake).item():.3f} G {errG.item():.3f} held-out D {d_loss.item():.3f} radius {radius.mean().item():.3f}")
        netG.train(); netD.train()

torch.save(netG.state_dict(), "netG.pt")
torch.save(netD.state_dict(), "netD.pt")
