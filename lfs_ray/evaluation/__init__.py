"""Scores of trained weights: embeddings of pairs to accuracies and their errors (numpy)."""
