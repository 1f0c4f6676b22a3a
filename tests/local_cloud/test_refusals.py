"""What must not get credentials, and what must go on when something is away, against the deployed stack."""

import http.client
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from local import demo_tokens, steps
from local.cloud import STS_REGIONS
from local.deploy import SAMPLE_PROFILE, client
from local.http_client import ask
from local.paths import VENV

# The cold start of a function on two busy cores, and then some.
ANSWER_SECONDS = 60
# Disabling takes effect within ten seconds, which is how long a lookup is held; and an exchange takes time.
DISABLED_SECONDS = 15.0

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

Headers = Sequence[tuple[str, str]]


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    body: str


def send(world: steps.World, method: str, path: str, headers: Headers, body: bytes) -> Reply:
    """Send a request of which every byte is ours; header names may come twice."""
    url = urlsplit(world.deployment.endpoint + path)
    connection = http.client.HTTPConnection(url.netloc, timeout=ANSWER_SECONDS)
    try:
        connection.putrequest(method, url.path + (f"?{url.query}" if url.query else ""))
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        found = connection.getresponse()
        return Reply(found.status, found.read().decode())
    finally:
        connection.close()


def query(world: steps.World, **changes: str) -> Reply:
    """``POST /`` with a good token; a change takes a parameter's place."""
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": world.role,
        "RoleSessionName": demo_tokens.SESSION,
        "WebIdentityToken": world.tokens["imds"],
    }
    return send(world, "POST", "/", [("Content-Type", FORM)], urlencode(form | changes).encode())


def credentials(world: steps.World, *authorizations: str) -> Reply:
    """``POST /credentials`` with these Authorization headers."""
    headers = [("Content-Type", JSON), *(("Authorization", value) for value in authorizations)]
    return send(world, "POST", "/credentials", headers, json.dumps({"roleArn": world.role}).encode())


@pytest.fixture(autouse=True)
def token(reader_token: str) -> str:
    """The reader's token is there for every test: what is refused here is refused for one thing alone."""
    return reader_token


def test_the_requests_of_these_tests_are_good_but_for_what_each_of_them_changes(
    world: steps.World, token: str
) -> None:
    assert query(world).status == 200
    assert credentials(world, f"Bearer {token}").status == 200


# Tokens

TOKENS: dict[str, tuple[dict[str, Any], str, str]] = {
    "that has expired": ({"issued": 7_200, "lifetime": 3_600}, "InvalidIdentityToken", "token-expired"),
    "of a person": ({"kind": "user"}, "InvalidIdentityToken", "user-token"),
    "for Microsoft Graph": ({"kind": "graph"}, "InvalidIdentityToken", "graph-token"),
    "under another tenant's key": ({"key": "fabrikam"}, "InvalidIdentityToken", "key-unknown"),
}


@pytest.mark.parametrize("case", TOKENS)
def test_a_token_is_refused(world: steps.World, case: str) -> None:
    asked, code, reason = TOKENS[case]
    assert demo_tokens.refused(world, demo_tokens.minted(world, **asked), code, reason)


def test_a_token_that_nobody_signed_is_refused(world: steps.World, token: str) -> None:
    header = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"  # {"alg":"none","typ":"JWT"}
    for signature in ("", token.rpartition(".")[2]):
        unsigned = f"{header}.{token.split('.')[1]}.{signature}"
        assert query(world, WebIdentityToken=unsigned).status == 400
        assert credentials(world, f"Bearer {unsigned}").status == 400


# Requests

GARBAGE = b"\x00\xff<>{]&&==%zz" * 20

REQUESTS: dict[str, Callable[[steps.World], Reply]] = {
    "garbage for a form": lambda w: send(w, "POST", "/", [("Content-Type", FORM)], GARBAGE),
    "garbage for JSON": lambda w: send(
        w,
        "POST",
        "/credentials",
        [("Content-Type", JSON), ("Authorization", f"Bearer {w.tokens['imds']}")],
        GARBAGE,
    ),
    "another action": lambda w: query(w, Action="GetCallerIdentity"),
    "an action that would be proxied if any were": lambda w: query(w, Action="AssumeRole"),
    "GET": lambda w: send(w, "GET", "/", [], b""),
    "GET of credentials": lambda w: send(
        w, "GET", "/credentials", [("Authorization", f"Bearer {w.tokens['imds']}")], b""
    ),
    "a form that is too large": lambda w: query(w, Policy="x" * 120_000),
    "a token that is too large": lambda w: query(w, WebIdentityToken="a." * 15_000),
    "two tokens": lambda w: credentials(w, f"Bearer {w.tokens['imds']}", f"Bearer {w.tokens['imds']}"),
    "no token": credentials,
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_is_refused(world: steps.World, case: str) -> None:
    reply = REQUESTS[case](world)
    assert 400 <= reply.status < 500, reply
    assert "SecretAccessKey" not in reply.body
    assert "Traceback" not in reply.body


def test_a_role_that_is_not_there_and_one_that_is_not_listed_are_answered_alike(world: steps.World) -> None:
    """Nobody learns which roles there are."""
    roles = client(world.cloud, "iam").list_roles()["Roles"]
    unlisted = next(role["Arn"] for role in roles if "/sallyport/" not in role["Arn"])
    replies = [query(world, RoleArn=arn) for arn in (f"{world.role}-that-is-not-there", unlisted)]
    assert [reply.status for reply in replies] == [403, 403]
    without_ids = [re.sub("[0-9a-f]{32}", "", reply.body) for reply in replies]
    assert without_ids[0] == without_ids[1]


# Operators


def test_a_disabled_profile_gives_nothing_after_a_moment_and_enabled_it_gives_again(
    world: steps.World, variables: dict[str, str], token: str
) -> None:
    def sallyport(*words: str) -> None:
        command = [str(VENV / "bin" / "sallyport"), "trust", *words, "--reason", "a live test"]
        steps.program([*command, "profile", SAMPLE_PROFILE], world.cloud.environment() | variables)

    def status_within(status: int) -> int:
        ends = time.monotonic() + DISABLED_SECONDS
        while (found := query(world).status) != status and time.monotonic() < ends:
            time.sleep(steps.POLL_SECONDS)
        return found

    assert query(world).status == 200
    try:
        sallyport("disable")
        assert status_within(403) == 403
        assert demo_tokens.refused(world, token, "AccessDenied", "profile-disabled")
    finally:
        sallyport("enable", "--yes")
        after = status_within(200)
    assert after == 200


# Regions


def lose_all_regions(world: steps.World, faults: str) -> None:
    """Have STS fail everywhere, and be back: after it the first Region is asked first again."""
    ask("POST", f"{faults}/faults", {"fault": "503", "service": "sts"})
    assert query(world).status == 503
    ask("DELETE", f"{faults}/faults")
    assert query(world).status == 200


def test_without_sts_in_any_region_callers_are_told_to_try_again(world: steps.World, faults: str) -> None:
    lose_all_regions(world, faults)


def test_a_region_in_which_sts_is_disabled_is_passed_over(world: steps.World, faults: str) -> None:
    first, second = STS_REGIONS
    # A Region that an earlier test took away would not be asked, and what follows would show nothing.
    lose_all_regions(world, faults)
    ask("POST", f"{faults}/faults", {"fault": "RegionDisabledException", "service": "sts", "region": first})
    answer = demo_tokens.exchange(world, world.tokens["imds"])
    issued = steps.explain(world, answer["ResponseMetadata"]["RequestId"])["issued"]
    assert (issued["region"], issued["skipped_regions"]) == (second, [first])
