"""Classifier losses: from cosines (B, C) and labels (B,) to a number. Start in catalogue.py."""
