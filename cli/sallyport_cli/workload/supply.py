"""The one way from settings to credentials, for every command that needs them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from sallyport_cli.workload.asking import Say, silence
from sallyport_cli.workload.cache import Cache
from sallyport_cli.workload.folder import cache_folder
from sallyport_cli.workload.options import NO_CACHE
from sallyport_cli.workload.request import make_wish
from sallyport_cli.workload.session import SessionCredentials

Supply = Callable[[], SessionCredentials]
"""Returns credentials with time left, from the cache or the exchange; raises ``ExchangeError`` or another
``CommandError``."""


def supply(
    source: str | None, flags: Mapping[str, str], *, say: Say = silence, trace: Say = silence
) -> Supply:
    """Return what gives credentials whenever it is called; files are read anew each time.

    Args:
        source: where the identity comes from; ``None`` leaves it to the profile.
        flags: options by name, as ``options`` has them; a flag that is set has any value.
        say: is told what a user should know, such as that nothing can be kept.
        trace: is told what happens, for ``--debug``; never a secret.
    """

    def obtain() -> SessionCredentials:
        wish = make_wish(source, flags)
        if flags.get(NO_CACHE.name):
            return wish.exchange(trace=trace)
        return Cache(Path(cache_folder(os.environ)), say=say, trace=trace).obtain(wish)

    return obtain
