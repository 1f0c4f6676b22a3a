"""Where an access key comes from and what became of it (docs/lineage.md)."""
