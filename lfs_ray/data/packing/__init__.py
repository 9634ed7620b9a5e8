"""Sources of images to pack: folders, lists, RecordIO, tars, Parquet, other LMDBs."""
