import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

device = "cuda" if torch.cuda.is_available() else "cpu"
use_cuda = device == "cuda"
torch.manual_seed(0)


def blobs(n, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 8, (n,), generator=g)
    c = torch.randn(8, 64, generator=torch.Generator().manual_seed(4)) * 0.6
    return TensorDataset(c[y] + torch.randn(n, 64, generator=g), y)


train = DataLoader(blobs(4000, 1), batch_size=64, shuffle=True, pin_memory=use_cuda)
val = DataLoader(blobs(800, 2), batch_size=200)

model = nn.Sequential(nn.Linear(64, 128), nn.LayerNorm(128), nn.GELU(), nn.Linear(128, 64), nn.GELU(), nn.Linear(64, 8)).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scaler = torch.amp.GradScaler(device, enabled=use_cuda)  # nothing to do for bfloat16 on the CPU
criterion = nn.CrossEntropyLoss()

for epoch in range(4):
    model.train()
    for xb, yb in train:
        xb, yb = xb.to(device, non_blocking=True), yb.to(device, non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device_type=device, dtype=torch.bfloat16):
            logits = model(xb)
            loss = criterion(logits, yb)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()
    model.eval()
    losses, hits = [], 0
    with torch.no_grad(), torch.autocast(device_type=device, dtype=torch.bfloat16):
        for xb, yb in val:
            logits = model(xb.to(device))
            losses.append(criterion(logits, yb.to(device)).item())
            hits += (logits.argmax(1).cpu() == yb).sum().item()
    print(f"epoch {epoch}: val loss {sum(losses) / len(losses):.4f} accuracy {hits / 800:.3f}")

torch.save(model.state_dict(), "amp.pt")
