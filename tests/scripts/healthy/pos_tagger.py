"""Sequence labelling with padding: packed bidirectional LSTM, ignore_index in the loss."""
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

PAD, N_TAGS = -100, 5


def sentences(n, seed):
    """The tag of a word depends on the word and on the one before it."""
    g = torch.Generator().manual_seed(seed)
    out = []
    for _ in range(n):
        length = int(torch.randint(4, 14, (), generator=g))
        words = torch.randint(1, 60, (length,), generator=g)
        before = torch.cat([torch.zeros(1, dtype=torch.long), words[:-1]])
        out.append((words, (words % 3 + before % 2 * 2) % N_TAGS))
    return out


def collate(batch):
    batch = sorted(batch, key=lambda pair: -len(pair[0]))
    words, tags = zip(*batch)
    lengths = torch.tensor([len(w) for w in words])
    return pad_sequence(words, batch_first=True), pad_sequence(tags, batch_first=True, padding_value=PAD), lengths


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(60, 24, padding_idx=0)
        self.lstm = nn.LSTM(24, 32, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(64, N_TAGS)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.emb(words), lengths, batch_first=True)
        out, _ = self.lstm(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return self.tag(out)


torch.manual_seed(19)
train_dl = DataLoader(sentences(3200, 0), batch_size=32, shuffle=True, collate_fn=collate)
dev_dl = DataLoader(sentences(400, 1), batch_size=100, collate_fn=collate)
model = Tagger()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
criterion = nn.CrossEntropyLoss(ignore_index=PAD)

for epoch in range(3):
    model.train()
    for words, tags, lengths in train_dl:
        scores = model(words, lengths)
        loss = criterion(scores.reshape(-1, N_TAGS), tags.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    dev_loss = good = count = 0
    with torch.no_grad():
        for words, tags, lengths in dev_dl:
            scores = model(words, lengths)
            dev_loss += criterion(scores.transpose(1, 2), tags).item() / len(dev_dl)
            known = tags != PAD
            good += (scores.argmax(-1)[known] == tags[known]).sum().item()
            count += known.sum().item()
    print(f"epoch {epoch}: train {loss.item():.4f} dev {dev_loss:.4f} accuracy {good / count:.3f}")

torch.save(model.state_dict(), "tagger.pt")
