"""Where the program begins: kept credentials at once, everything else through the command line.

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
        from sallyport_cli.workload.hand_out import hand_out  # noqa: PLC0415 - the same

        kept = fast.answer(arguments, os.environ, int(time.time() * 1_000))
        if kept is not None:
            hand_out(kept)
            return
    from sallyport_cli.main import app  # noqa: PLC0415 - heavy

    app()
