"""Where the program begins: cached credentials at once, everything else through the command line.

AWS's tools start it anew whenever they need credentials, so the usual case imports next to nothing.
"""

import os
import sys
import time


def main() -> None:
    """Run the command of ``sys.argv``."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["credential-process"]:
        from sallyport_cli.workload import fast  # noqa: PLC0415 - light, and only for this command

        kept = fast.answer(arguments, os.environ, int(time.time() * 1_000))
        if kept is not None:
            _pass_on(kept)
            return
    from sallyport_cli.main import app  # noqa: PLC0415 - heavy

    app()


def _pass_on(text: str) -> None:
    try:
        # Written past Python's buffers, which would try once more when the program ends.
        data = f"{text}\n".encode("ascii")
        while data:
            data = data[os.write(1, data) :]
    except OSError as error:
        print(f"The credentials cannot be written to standard output: {error.strerror}.", file=sys.stderr)
        sys.exit(1)
