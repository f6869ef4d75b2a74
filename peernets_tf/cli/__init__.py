"""The code that all commands share: flags, error messages, exit status."""
