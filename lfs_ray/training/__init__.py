"""One trial: parent -> train under theta -> reward -> checkpoint."""
