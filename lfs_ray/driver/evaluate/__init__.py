"""`lfs-ray evaluate`: a checkpoint or embeddings on the set of a protocol, to a table."""
