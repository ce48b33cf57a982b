"""Searching hyper-parameters: the learning-rate sweep."""
