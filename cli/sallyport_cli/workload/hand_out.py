"""Credentials to standard output, whole or with an error."""

import os
import sys


def hand_out(text: str) -> None:
    """Write one line and end the program if that fails, as on a full disk or a closed pipe.

    Written past Python's buffers, which would fail once more, and with a trace, when the program ends.
    """
    data = f"{text}\n".encode("ascii")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError as error:
        print(f"The credentials cannot be written to standard output: {error.strerror}.", file=sys.stderr)
        sys.exit(1)
