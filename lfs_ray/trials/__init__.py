"""Trial table: schema, files of committed rounds, reading them, and text (pandas, pyarrow)."""
