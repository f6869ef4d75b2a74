"""What all commands share: flags, errors as one line, exit status."""
