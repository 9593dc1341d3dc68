"""What `stagewright export-crate` puts together: files, provenance as JSON-LD, and a page for people."""
