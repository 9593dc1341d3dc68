"""What `verify_run` looks at, one subject a file: from the chains of the logs to the artifacts."""
