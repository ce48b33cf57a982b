"""Networks by name; each module here holds one net or a close family."""
