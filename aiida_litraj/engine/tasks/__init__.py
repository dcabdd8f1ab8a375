"""One module per job kind: reads the job, drives the core, writes the result."""
