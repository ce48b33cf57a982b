from __future__ import print_function
import torch
from torch import nn, optim
from torch.nn import functional as F

torch.manual_seed(1)


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(64, 48)
        self.fc21 = nn.Linear(48, 4)
        self.fc22 = nn.Linear(48, 4)
        self.fc3 = nn.Linear(4, 48)
        self.fc4 = nn.Linear(48, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 64))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    # summed over pixels, averaged over the batch
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction='sum') / len(x)
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / len(x)
    return BCE + KLD


def stripes(n):
    r = torch.arange(8.0)
    c = torch.rand(n, 2, 1) * 7
    lines = (torch.exp(-(r - c[:, 0]) ** 2)[:, :, None] + torch.exp(-(r - c[:, 1]) ** 2)[:, None, :]).clamp(max=1)
    return (lines > torch.rand(n, 8, 8)).float()


train_data, test_data = stripes(5000), stripes(1000)
model = VAE()
optimizer = optim.Adam(model.parameters(), lr=2e-3)


def train(epoch):
    model.train()
    train_loss = 0
    for batch_idx, data in enumerate(train_data[torch.randperm(5000)].split(50)):
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.item() * len(data)
        optimizer.step()
    print('====> Epoch: {} Average loss: {:.4f}'.format(epoch, train_loss / len(train_data)))


def test(epoch):
    model.eval()
    with torch.no_grad():
        recon, mu, logvar = model(test_data)
        print('====> Test set loss: {:.4f}'.format(loss_function(recon, test_data, mu, logvar).item()))


for epoch in range(1, 6):
    train(epoch)
    test(epoch)
torch.save(model.state_dict(), 'vae.pt')
