"""Keeps TensorFlow's messages out of what the package prints."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

# Defaults, which the user's environment overrides.
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "GRPC_VERBOSITY": "ERROR",
    "GLOG_minloglevel": "2",
}


@contextlib.contextmanager
def starting_tensorflow() -> Iterator[None]:
    """Hides what is written to standard error until the block ends.

    While it starts, TensorFlow's C++ code ignores the level of its own log. If
    the block fails, or TF_CPP_MIN_LOG_LEVEL asks for messages, they are shown.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] in ("0", "1"):
        yield
        return
    # What goes wrong raises an exception, too.
    logging.getLogger("tensorflow").setLevel(logging.CRITICAL)
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except Exception as error:
            os.dup2(kept, 2)
            if not isinstance(error, ImportError):
                hidden.seek(0)
                os.write(2, hidden.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
