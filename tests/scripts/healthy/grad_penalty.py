"""WGAN with a gradient penalty: torch.autograd.grad inside the loss of the critic."""
import torch
from torch import nn, autograd

torch.manual_seed(17)
LAMBDA, CRITIC, BATCH = 2.0, 5, 96


def net(i, o):
    return nn.Sequential(nn.Linear(i, 48), nn.LeakyReLU(0.1), nn.Linear(48, 48), nn.LeakyReLU(0.1), nn.Linear(48, o))


def real(n):
    t = torch.rand(n) * 6.2832
    return torch.stack([t.cos() * 2, t.sin()], 1) + 0.1 * torch.randn(n, 2)


critic, generator = net(2, 1), net(4, 2)
opt_c = torch.optim.Adam(critic.parameters(), lr=5e-4, betas=(0.0, 0.9))
opt_g = torch.optim.Adam(generator.parameters(), lr=5e-4, betas=(0.0, 0.9))
valid = real(600)


def gradient_penalty(a, b):
    mix = torch.rand(len(a), 1)
    x = (mix * a + (1 - mix) * b).requires_grad_(True)
    (g,) = autograd.grad(critic(x).sum(), x, create_graph=True)
    return LAMBDA * ((g.norm(dim=1) - 1) ** 2).mean()


for it in range(200):
    for _ in range(CRITIC):
        x = real(BATCH)
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, 4))
        loss_c = critic(fake).mean() - critic(x).mean() + gradient_penalty(x, fake)
        opt_c.zero_grad()
        loss_c.backward()
        opt_c.step()
    for p in critic.parameters():
        p.requires_grad_(False)
    loss_g = -critic(generator(torch.randn(BATCH, 4))).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    for p in critic.parameters():
        p.requires_grad_(True)
    if (it + 1) % 50 == 0:
        critic.eval(), generator.eval()
        with torch.no_grad():
            made = generator(torch.randn(600, 4))
            distance = critic(valid).mean() - critic(made).mean()
        critic.train(), generator.train()
        print(f"{it + 1}: critic {loss_c.item():.3f} generator {loss_g.item():.3f} distance {distance.item():.3f} "
              f"spread {made.std(0)[0].item():.2f} x {made.std(0)[1].item():.2f}")

torch.save([critic.state_dict(), generator.state_dict()], "wgan.pt")
