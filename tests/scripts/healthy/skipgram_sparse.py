"""word2vec with negative sampling: sparse embeddings, SparseAdam, a loss from logsigmoid."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(50)
VOCAB, DIM, TOPICS, NEG = 200, 16, 10, 5


def corpus(n, seed):
    g = torch.Generator().manual_seed(seed)
    topic = torch.randint(0, TOPICS, (n,), generator=g)
    words = topic[:, None] * 20 + torch.randint(0, 20, (n, 2), generator=g)
    return words[:, 0], words[:, 1]


class SkipGram(nn.Module):
    def __init__(self):
        super().__init__()
        self.center = nn.Embedding(VOCAB, DIM, sparse=True)
        self.context = nn.Embedding(VOCAB, DIM, sparse=True)
        self.center.weight.data.uniform_(-0.25, 0.25)
        self.context.weight.data.uniform_(-0.25, 0.25)

    def forward(self, c, o, neg):
        v = self.center(c)
        pos = (v * self.context(o)).sum(1)
        negative = torch.bmm(self.context(neg), v.unsqueeze(2)).squeeze(2)
        return -(F.logsigmoid(pos) + F.logsigmoid(-negative).sum(1)).mean()


c, o = corpus(24000, 0)
cv, ov = corpus(2000, 1)
nv = torch.randint(0, VOCAB, (2000, NEG))
model = SkipGram()
opt = torch.optim.SparseAdam(model.parameters(), lr=0.01)
for epoch in range(4):
    model.train()
    total = 0.0
    for idx in torch.randperm(len(c)).split(128):
        opt.zero_grad()
        loss = model(c[idx], o[idx], torch.randint(0, VOCAB, (len(idx), NEG)))
        loss.backward()
        opt.step()
        total += loss.item() * len(idx)
    model.eval()
    with torch.no_grad():
        val = model(cv, ov, nv)
    print(f"epoch {epoch} train {total / len(c):.4f} val {val:.4f}")
torch.save(model.state_dict(), "embeddings.pt")
