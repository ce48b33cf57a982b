"""Character language model: a GRU over text written by a tiny grammar, hidden state carried along."""
import random

import torch
from torch import nn

random.seed(1)
torch.manual_seed(1)

nouns, verbs, places = ["cat", "dog", "bird", "horse"], ["sees", "likes", "follows"], ["house", "river", "tree"]


def sentence():
    return f"the {random.choice(nouns)} {random.choice(verbs)} the {random.choice(nouns)} near the {random.choice(places)}. "


text = "".join(sentence() for _ in range(900))
valid_text = "".join(sentence() for _ in range(120))
vocab = sorted(set(text))
stoi = {ch: i for i, ch in enumerate(vocab)}


def batchify(s, bsz):
    ids = torch.tensor([stoi[c] for c in s])
    n = len(ids) // bsz
    return ids[: n * bsz].view(bsz, n).t().contiguous()


class CharRNN(nn.Module):
    def __init__(self, n_vocab, n_embed=24, n_hidden=96):
        super().__init__()
        self.encoder = nn.Embedding(n_vocab, n_embed)
        self.rnn = nn.GRU(n_embed, n_hidden)
        self.drop = nn.Dropout(0.1)
        self.decoder = nn.Linear(n_hidden, n_vocab)

    def forward(self, x, hidden):
        emb = self.encoder(x)
        output, hidden = self.rnn(emb, hidden)
        return self.decoder(self.drop(output)), hidden


def repackage(h):
    return h.detach() if h is not None else None


def get_batch(source, i, bptt=32):
    length = min(bptt, len(source) - 1 - i)
    return source[i : i + length], source[i + 1 : i + 1 + length].reshape(-1)


train_data, val_data = batchify(text, 16), batchify(valid_text, 8)
model = CharRNN(len(vocab))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)


def evaluate(source):
    model.eval()
    total, hidden = 0.0, None
    with torch.no_grad():
        for i in range(0, source.size(0) - 1, 32):
            data, targets = get_batch(source, i)
            output, hidden = model(data, hidden)
            hidden = repackage(hidden)
            total += len(data) * criterion(output.view(-1, len(vocab)), targets).item()
    return total / (len(source) - 1)


for epoch in range(1, 3):
    model.train()
    hidden = None
    for batch, i in enumerate(range(0, train_data.size(0) - 1, 32)):
        data, targets = get_batch(train_data, i)
        hidden = repackage(hidden)
        optimizer.zero_grad()
        output, hidden = model(data, hidden)
        loss = criterion(output.view(-1, len(vocab)), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    print("epoch", epoch, "loss %.3f" % loss.item(), "valid %.3f" % evaluate(val_data))

with open("char_gru.pt", "wb") as f:
    torch.save(model.state_dict(), f)
