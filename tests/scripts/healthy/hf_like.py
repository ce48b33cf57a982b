"""A text classifier in the manner of the big libraries: batches are dicts, the model returns an output object."""
from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Optional

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


@dataclass
class ModelConfig:
    vocab_size: int = 120
    hidden_size: int = 32
    num_labels: int = 3
    pad_token_id: int = 0


class ModelOutput(OrderedDict):
    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class TextDataset(Dataset):
    """Words of three topics mixed with words that mean nothing; lengths vary."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.rows = []
        for _ in range(n):
            label = int(torch.randint(0, 3, (), generator=g))
            length = int(torch.randint(6, 20, (), generator=g))
            topic = torch.rand(length, generator=g) < 0.3
            words = torch.randint(40, 120, (length,), generator=g)
            special = torch.randint(1 + 13 * label, 14 + 13 * label, (length,), generator=g)
            self.rows.append({"input_ids": torch.where(topic, special, words), "labels": label})

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def collate(rows):
    longest = max(len(r["input_ids"]) for r in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    for k, r in enumerate(rows):
        ids[k, : len(r["input_ids"])] = r["input_ids"]
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": torch.tensor([r["labels"] for r in rows])}


class TextClassifier(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.attention = nn.Linear(config.hidden_size, 1)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, input_ids, attention_mask=None, labels=None):
        hidden = self.embeddings(input_ids)
        weight = self.attention(hidden).squeeze(-1).masked_fill(attention_mask == 0, -1e9).softmax(-1)
        pooled = torch.tanh(self.dense((weight.unsqueeze(-1) * hidden).sum(1)))
        logits = self.classifier(self.dropout(pooled))
        loss = None
        if labels is not None:
            loss = nn.CrossEntropyLoss()(logits.view(-1, self.config.num_labels), labels.view(-1))
        return ModelOutput(loss=loss, logits=logits)


def main():
    torch.manual_seed(14)
    train_dl = DataLoader(TextDataset(2400, 0), batch_size=32, shuffle=True, collate_fn=collate)
    eval_dl = DataLoader(TextDataset(480, 1), batch_size=60, collate_fn=collate)
    model = TextClassifier(ModelConfig())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(4):
        model.train()
        for batch in train_dl:
            outputs = model(**batch)
            outputs.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        right = seen = 0
        total = 0.0
        for batch in eval_dl:
            with torch.no_grad():
                outputs = model(**batch)
            total += outputs["loss"].item()
            right += (outputs.logits.argmax(dim=-1) == batch["labels"]).sum().item()
            seen += len(batch["labels"])
        print(f"epoch {epoch}: {{'eval_loss': {total / len(eval_dl):.4f}, 'accuracy': {right / seen:.4f}}}")
    torch.save(model.state_dict(), "pytorch_model.bin")


if __name__ == "__main__":
    main()
