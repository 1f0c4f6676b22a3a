"""Secrets that are known beforehand, and where to look for them.

``python -m tests.support.canary`` runs the same exchanges with tracing on, as Lambda would: what
X-Ray's daemon is sent goes to the address in ``AWS_XRAY_DAEMON_ADDRESS``.
"""

import os
from collections.abc import Callable, Iterator

from sallyport.adapters.http import HttpResponse
from tests.support import tokens
from tests.support.fake_transport import answers_503, sts_error, unreachable
from tests.support.world import FREE, NIGHTLY, PLAIN_ROLE, READER, Answer, World

TOKENS = {
    "good": tokens.good_token(),
    "v2": tokens.token(tokens.good_entra_v2()),
    "once": tokens.token(tokens.good_plain()),
    "denied": tokens.token(tokens.good_entra_v1(oid="99999999-1111-4222-8333-444455556666")),
    "forged": tokens.signed_by_somebody_else(),
    "expired": tokens.expired(),
    "unknown key": tokens.an_unknown_kid(),
    "hints": tokens.signed_by_the_key_in_the_header(),
    "twice": f"{tokens.good_token()}.{tokens.good_token()}",
}
# The fake function's own, from ``world.OWN``.
OWN_SESSION = "own-session-canary"
POLICY = '{"Version":"2012-10-17","Statement":[{"Sid":"policycanary","Effect":"Deny","Action":"*"}]}'


def secrets() -> Iterator[str]:
    """Everything that may be in an answer of ours or in a request to STS, and nowhere else."""
    for token in TOKENS.values():
        yield token
        yield from (part for part in token.split(".") if len(part) > 40)
    # The fake STS numbers what it gives.
    for number in range(1, 100):
        yield f"secret-{number}-canary"
        yield f"session-{number}-canary"
    yield from ("own-secret-canary", OWN_SESSION, "policycanary")


def found_in(text: str) -> list[str]:
    """The secrets that a text contains."""
    return [secret for secret in secrets() if secret in text]


def run(world: World) -> list[tuple[str, Answer]]:
    """Exchanges that end in every way there is; each answer with the name of the way."""
    world.aws.sts.subject = tokens.OBJECT_ID
    world.aws.sts.audience = tokens.CLIENT_ID
    world.aws.sts.provider = f"x:oidc-provider/{tokens.ENTRA_V2[8:]}"
    answers: list[tuple[str, Answer]] = []

    def both(way: str, token: str, role: str = READER) -> None:
        answers.append((way, world.query(token, RoleArn=role)))
        answers.append((way, world.credentials(token, roleArn=role)))

    both("granted", TOKENS["good"])
    both("granted", TOKENS["v2"], NIGHTLY)
    both("granted once", TOKENS["once"], PLAIN_ROLE)
    answers.append(("granted", world.query(TOKENS["good"], RoleArn=FREE, Policy=POLICY)))
    answers.append(("refused", world.query(TOKENS["good"], Policy=POLICY)))
    for name in ("denied", "forged", "expired", "unknown key", "hints", "twice"):
        both("refused", TOKENS[name])
    faults: dict[str, tuple[str, Callable[[], HttpResponse]]] = {
        "STS away": ("sts", unreachable),
        "STS broken": ("sts", answers_503),
        "STS throttles": ("sts", lambda: sts_error(400, "Throttling", "slow down")),
        "STS refuses": ("sts", lambda: sts_error(403, "AccessDenied", "you may not")),
        "STS mumbles": ("sts", lambda: HttpResponse(200, b"<secret-1-canary")),
        "no records": ("dynamodb/PutItem", unreachable),
        "no trust": ("dynamodb/BatchGetItem", answers_503),
        "a defect": ("sts", _defect),
    }
    for way, fault in faults.items():
        world.advance(11)
        with world.fault(*fault):
            both(way, TOKENS["good"])
    world.aws.sts.subject = "somebody else"
    both("another subject at STS", TOKENS["v2"], NIGHTLY)
    world.advance(61)
    both("granted", TOKENS["good"])
    return answers


def _defect() -> HttpResponse:
    raise RuntimeError(f"a text that repeats secret-1-canary and {TOKENS['good']}")


def main() -> None:
    """Run with tracing on, within a segment of Lambda's making."""
    os.environ["_X_AMZN_TRACE_ID"] = (
        "Root=1-6735e1c0-5e1b5f1e0f6d5c3b2a190817;Parent=53995c3f42cd8ad8;Sampled=1"
    )
    run(World(changes={"tracing": True}))


if __name__ == "__main__":
    main()
