import torch.nn as nn

from .blocks import ConvBlock


class TinyVGG(nn.Module):
    def __init__(self, num_classes: int, width: int = 8):
        super().__init__()
        self.features = nn.Sequential(ConvBlock(3, width), ConvBlock(width, 2 * width))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.LazyLinear(num_classes))

    def forward(self, images):
        return self.classifier(self.features(images))
