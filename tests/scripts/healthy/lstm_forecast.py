import torch
import torch.nn as nn
import numpy as np

np.random.seed(0)
torch.manual_seed(0)

# a noisy mixture of two sines, window of 40 -> next value
t = np.arange(3000)
signal = np.sin(0.07 * t) + 0.5 * np.sin(0.23 * t + 1) + 0.05 * np.random.randn(len(t))
signal = (signal - signal.mean()) / signal.std()
windows = np.lib.stride_tricks.sliding_window_view(signal, 41).astype(np.float32)
split = 2300
train_w, val_w = torch.from_numpy(windows[:split].copy()), torch.from_numpy(windows[split + 41:].copy())


class Forecaster(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.lstm = nn.LSTM(input_size=1, hidden_size=hidden, num_layers=1, batch_first=True)
        self.fc = nn.Linear(hidden, 1)

    def forward(self, x):
        out, (h, c) = self.lstm(x.unsqueeze(-1))
        return self.fc(out[:, -1])


model = Forecaster()
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
crit = nn.MSELoss()
B = 64

for epoch in range(5):
    model.train()
    perm = torch.randperm(len(train_w))
    running = 0
    for s in range(0, len(perm), B):
        batch = train_w[perm[s:s + B]]
        inp, tgt = batch[:, :-1], batch[:, -1:]
        opt.zero_grad()
        out = model(inp)
        loss = crit(out, tgt)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        running += loss.item() * len(batch)
    model.eval()
    with torch.no_grad():
        vloss = crit(model(val_w[:, :-1]), val_w[:, -1:])
    print(f"Epoch {epoch}, train mse {running / len(train_w):.4f}, val mse {vloss:.4f}")

torch.save(model.state_dict(), 'lstm.pth')
