"""Data sets by name; each function here takes the data settings and gives a PictureData of two splits."""
