"""What `verify_run` looks at, one subject a file: chains, the ledger's fold, sealed files, artifacts."""
