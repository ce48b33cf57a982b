"""Reading two glyphs; `python -m ocr.train --epochs 3`."""
