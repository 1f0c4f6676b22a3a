from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sallyport_cli.workload.cache import Cache
from sallyport_cli.workload.request import Wish, make_wish
from sallyport_cli.workload.session import SessionCredentials
from tests.support.sessions import Clock
from tests.support.token_exchange import TokenExchange, token


@dataclass
class Workload:
    """A workload with a token in a file, a cache and a clock of its own."""

    exchange: TokenExchange
    folder: Path
    clock: Clock
    said: list[str] = field(default_factory=list)
    traced: list[str] = field(default_factory=list)
    lock_wait: float = 5

    @property
    def cache_folder(self) -> Path:
        return self.folder / "cache"

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    def wish(self, **more: str) -> Wish:
        flags = self.exchange.settings(self.token_file, **more)
        return make_wish("token-file", flags, {"XDG_CONFIG_HOME": str(self.folder)})

    def cache(self) -> Cache:
        return Cache(
            self.cache_folder, say=self.said.append, trace=self.traced.append, lock_wait=self.lock_wait
        )

    def obtain(self, **more: str) -> SessionCredentials:
        return self.cache().obtain(self.wish(**more), self.clock)

    def files(self, ending: str = ".session") -> list[Path]:
        return sorted(self.cache_folder.glob(f"*{ending}"))

    def entry(self) -> Path:
        (found,) = self.files()
        return found

    def passes(self, **parts: float) -> None:
        self.clock.now += timedelta(**parts)


@pytest.fixture
def workload(tmp_path: Path) -> Iterator[Workload]:
    clock = Clock(datetime.fromisoformat("2026-11-21T12:00:00Z"))
    with TokenExchange(clock=clock) as exchange:
        (tmp_path / "token").write_text(token({"iss": "https://issuer", "sub": "somebody", "jti": "1"}))
        yield Workload(exchange, tmp_path, clock)
