"""Backbones (images to embeddings) and the cosine classifier. Start in catalogue.py."""
