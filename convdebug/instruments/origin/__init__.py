"""Where the first non-finite value came from: tests at every step, and a replay before the update."""

from .guard import Origin

__all__ = ["Origin"]
