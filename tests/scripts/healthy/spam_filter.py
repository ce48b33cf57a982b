# binary classification of short messages: EmbeddingBag + BCEWithLogitsLoss
import random
import torch
from torch import nn
from torch.utils.data import DataLoader

random.seed(4)
torch.manual_seed(4)
SPAM = "win free cash prize click offer now urgent winner bonus".split()
HAM = "meeting lunch tomorrow thanks project see you report call home".split()
ANY = "the a to and of is on for with at this that we i it be are as".split()
vocab = {w: i for i, w in enumerate(SPAM + HAM + ANY)}


def message():
    spam = random.random() < 0.4
    words = []
    for _ in range(random.randint(5, 15)):
        r = random.random()
        if r < 0.25:
            words.append(random.choice(SPAM if spam else HAM))
        elif r < 0.32:
            words.append(random.choice(HAM if spam else SPAM))
        else:
            words.append(random.choice(ANY))
    return [vocab[w] for w in words], float(spam)


def collate(batch):
    texts, labels = zip(*batch)
    offsets = torch.tensor([0] + [len(t) for t in texts[:-1]]).cumsum(0)
    return torch.tensor([i for t in texts for i in t]), offsets, torch.tensor(labels)


train_dl = DataLoader([message() for _ in range(5000)], batch_size=50, shuffle=True, collate_fn=collate)
val_dl = DataLoader([message() for _ in range(1000)], batch_size=100, collate_fn=collate)


class SpamNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(len(vocab), 16, mode="mean")
        self.fc1 = nn.Linear(16, 16)
        self.fc2 = nn.Linear(16, 1)

    def forward(self, words, offsets):
        return self.fc2(torch.relu(self.fc1(self.bag(words, offsets)))).squeeze(1)


net = SpamNet()
loss_fn = nn.BCEWithLogitsLoss()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(6):
    net.train()
    for words, offsets, label in train_dl:
        opt.zero_grad()
        logit = net(words, offsets)
        loss = loss_fn(logit, label)
        loss.backward()
        opt.step()
    net.eval()
    val_loss = right = 0
    with torch.no_grad():
        for words, offsets, label in val_dl:
            logit = net(words, offsets)
            val_loss += loss_fn(logit, label).item()
            right += ((torch.sigmoid(logit) > 0.5).float() == label).sum().item()
    print("epoch", epoch, "train %.4f val %.4f acc %.3f" % (loss.item(), val_loss / len(val_dl), right / 1000))

torch.save(net.state_dict(), "spam.pt")
