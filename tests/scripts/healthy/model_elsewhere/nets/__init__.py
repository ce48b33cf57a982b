from .blocks import ConvBlock
from .model import TinyVGG

__all__ = ["ConvBlock", "TinyVGG"]
