"""The user's own script, unchanged: launched as Python launches it, its models and loops found as it runs."""
