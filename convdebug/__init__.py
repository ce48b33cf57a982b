"""A debugger for the training of neural networks. Importing this loads neither torch nor Qt."""

__version__ = "0.1.0"
