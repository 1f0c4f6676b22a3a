"""Every command ends in a sentence that somebody has thought about."""

import json

import pytest
import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import Exit

HIDDEN = "eyJ-not-to-be-seen"


class UnforeseenError(Exception):
    """What some library could throw, with what it was working on in its words."""


def fails(*, as_json: bool) -> None:
    with ending(as_json=as_json):
        raise UnforeseenError(f"cannot read {HIDDEN}")


@pytest.mark.parametrize("as_json", [True, False])
def test_what_nobody_foresaw_is_named_and_its_words_are_not_shown(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    with pytest.raises(typer.Exit) as caught:
        fails(as_json=as_json)
    out, err = capsys.readouterr()
    assert caught.value.exit_code == Exit.REFUSED
    assert HIDDEN not in out + err
    told = json.loads(out)["error"]["text"] if as_json else err
    assert "UnforeseenError" in told
    assert "SALLYPORT_DEBUG=1" in (out if as_json else err)


def test_whoever_asks_for_it_is_shown_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALLYPORT_DEBUG", "1")
    with pytest.raises(UnforeseenError, match=HIDDEN):
        fails(as_json=False)
