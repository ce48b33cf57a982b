import torch
from torch.utils.data import DataLoader

import data
from nets import TinyVGG

torch.manual_seed(31)
model = TinyVGG(num_classes=4)
model(torch.zeros(1, 3, 16, 16))  # lazy layers get their shapes
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
criterion = torch.nn.CrossEntropyLoss()
loaders = {s: DataLoader(data.load(s), batch_size=32, shuffle=s == "train") for s in ("train", "val")}

for epoch in range(4):
    for phase in ["train", "val"]:
        if phase == "train":
            model.train()
        else:
            model.eval()
        running_loss = running_corrects = 0
        for inputs, labels in loaders[phase]:
            optimizer.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                outputs = model(inputs)
                _, preds = torch.max(outputs, 1)
                loss = criterion(outputs, labels)
                if phase == "train":
                    loss.backward()
                    optimizer.step()
            running_loss += loss.item() * inputs.size(0)
            running_corrects += torch.sum(preds == labels.data)
        n = len(loaders[phase].dataset)
        print("{} {} loss: {:.4f} acc: {:.4f}".format(epoch, phase, running_loss / n, running_corrects.double() / n))

torch.save(model.state_dict(), "tiny_vgg.pt")
