"""The ``qdeploy`` command: one module a group of commands, which parse, call the API and print."""
