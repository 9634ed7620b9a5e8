"""Images in, batches out: packed data sets, lists, pairs, the data stream and its loader."""
