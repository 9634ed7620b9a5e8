"""The doctor: what is wrong with a set of images, before a model is trained on it."""
