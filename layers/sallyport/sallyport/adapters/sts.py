"""STS, over its regional endpoints: ask in the order configured, skip a Region that is away.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/ (Query protocol, version 2011-06-15).
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from sallyport.adapters.aws import SERVER_ERRORS, THROTTLES, SignedService
from sallyport.adapters.http import HttpResponse, NetworkError
from sallyport.errors import DeniedError, SallyportError, ThrottledError, UnavailableError
from sallyport.model import Credentials, Grant, Issuance, Proof, Secret, SessionTag

API_VERSION = "2011-06-15"

# A Region that did not answer is not asked again for this long: one exchange in a while pays for
# finding out, not every one. Short, because the ordered list says where the operator wants to be.
DOWN_SECONDS = 30.0

# How long after the first try for a grant another one may begin, be it at the next Region or with fewer
# tags. Enough for all but the last of the Regions that may be configured to not answer; the caller
# waits for all of it, and so does API Gateway.
LAST_TRY_SECONDS = 4.5

# STS says these about itself, not about the request: the next Region may know better.
_REGION_AWAY = frozenset({"RegionDisabledException", "RegionDisabled"})
_TOO_LARGE = frozenset({"PackedPolicyTooLarge", "PackedPolicyTooLargeException"})

# These are about this function or the issuer, not about the grant; the caller may try again.
_OUR_OWN = frozenset(
    {
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
    }
)
_ISSUER_AWAY = frozenset({"IDPCommunicationError", "IDPCommunicationErrorException"})


class StsDeniedError(DeniedError):
    """STS refused the grant: the role's trust policy, a limit, a malformed policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionalSts:
    """STS in one Region."""

    region: str
    service: SignedService

    def send(self, form: Mapping[str, str], *, signed: bool) -> HttpResponse:
        """Post a form; raises ``NetworkError``."""
        body = urlencode(form).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        if signed:
            return self.service.post("/", headers, body)
        url = self.service.url.rstrip("/") + "/"
        return self.service.transport("POST", url, headers, body, self.service.limits)


class Sts:
    """Issues what a grant says.

    Args:
        regions: at least one, in the order in which they are wanted.
        clock: monotonic seconds, for how long a Region counts as down.
    """

    def __init__(self, regions: Sequence[RegionalSts], clock: Callable[[], float]) -> None:
        self._regions = tuple(regions)
        self._clock = clock
        self._down: dict[str, float] = {}

    def issue(self, grant: Grant, proof: Proof) -> Credentials:
        """Ask STS for credentials; ``proof`` is used for issuance ``web-identity`` alone.

        Optional tags are left out in their declared order when STS says that the session token
        would be too large.

        Raises:
            StsDeniedError: STS refused; its code is the reason, its text the detail (operator's).
            ThrottledError: STS's quota is used up.
            UnavailableError: no Region answered, or not in time.
        """
        last_try = self._clock() + LAST_TRY_SECONDS
        dropped: list[str] = []
        while True:
            kept = tuple(tag for tag in grant.tags if tag.key not in dropped)
            try:
                credentials = self._ask(replace(grant, tags=kept), proof, last_try)
            except StsDeniedError as error:
                left = [key for key in grant.droppable if key not in dropped]
                if error.reason not in _TOO_LARGE or not left:
                    raise
                dropped.append(left[0])
                continue
            return replace(credentials, dropped_tags=tuple(dropped))

    def _ask(self, grant: Grant, proof: Proof, last_try: float) -> Credentials:
        signed = grant.issuance is Issuance.ASSUME_ROLE
        form = assume_role_form(grant) if signed else web_identity_form(grant, proof)
        skipped: list[str] = []
        for regional in self._in_order():
            if self._clock() > last_try:
                raise UnavailableError("sts-too-slow", f"no grant within {LAST_TRY_SECONDS} s")
            try:
                response = regional.send(form, signed=signed)
            except NetworkError:
                skipped.append(self._mark_down(regional))
                continue
            if response.status < 300:  # noqa: PLR2004 - HTTP's own line
                self._down.pop(regional.region, None)
                return parse_credentials(response.body, regional.region, tuple(skipped))
            code, text = parse_error(response.body)
            if code in THROTTLES:
                raise ThrottledError("sts-throttled", f"{regional.region}: {code}")
            if response.status >= SERVER_ERRORS or code in _REGION_AWAY:
                skipped.append(self._mark_down(regional))
                continue
            if code in _ISSUER_AWAY:
                raise UnavailableError("sts-issuer-away", f"{regional.region}: {text}")
            if signed and code in _OUR_OWN:
                raise UnavailableError("sts-own-credentials", f"{regional.region}: {code}")
            raise StsDeniedError(code, text)
        raise UnavailableError("sts-unavailable", f"no answer from {', '.join(skipped)}")

    def _in_order(self) -> list[RegionalSts]:
        now = self._clock()
        # Regions known to be down come last, not never: with all of them down one still has to try.
        return sorted(self._regions, key=lambda one: now < self._down.get(one.region, now))

    def _mark_down(self, regional: RegionalSts) -> str:
        self._down[regional.region] = self._clock() + DOWN_SECONDS
        return regional.region


def assume_role_form(grant: Grant) -> dict[str, str]:
    """Return AssumeRole's parameters. The ExternalId is always there and always computed."""
    form = _common_form("AssumeRole", grant)
    form["ExternalId"] = grant.external_id
    if grant.source_identity is not None:
        form["SourceIdentity"] = grant.source_identity
    transitive: list[SessionTag] = []
    for number, tag in enumerate(grant.tags, 1):
        form[f"Tags.member.{number}.Key"] = tag.key
        form[f"Tags.member.{number}.Value"] = tag.value
        if tag.transitive:
            transitive.append(tag)
    for number, tag in enumerate(transitive, 1):
        form[f"TransitiveTagKeys.member.{number}"] = tag.key
    return form


def web_identity_form(grant: Grant, proof: Proof) -> dict[str, str]:
    """Return AssumeRoleWithWebIdentity's parameters, with the caller's own token.

    Raises:
        DeniedError: what the caller presented is no token.
    """
    if not isinstance(proof, Secret):
        raise DeniedError("web-identity-without-token", "STS takes tokens, and none was presented")
    form = _common_form("AssumeRoleWithWebIdentity", grant)
    form["WebIdentityToken"] = proof.reveal()
    return form


def _common_form(action: str, grant: Grant) -> dict[str, str]:
    form = {
        "Action": action,
        "Version": API_VERSION,
        "RoleArn": grant.role_arn,
        "RoleSessionName": grant.session_name,
        "DurationSeconds": str(grant.duration),
    }
    if grant.policy is not None:
        form["Policy"] = grant.policy
    for number, arn in enumerate(grant.policy_arns, 1):
        form[f"PolicyArns.member.{number}.arn"] = arn
    return form


def parse_credentials(body: bytes, region: str, skipped: tuple[str, ...]) -> Credentials:
    """Read STS's answer; raises ``UnavailableError`` where a part that must be there is not."""
    found = _texts(body)
    try:
        size = found.get("PackedPolicySize")
        return Credentials(
            access_key_id=found["AccessKeyId"],
            secret_access_key=Secret(found["SecretAccessKey"]),
            session_token=Secret(found["SessionToken"]),
            expiration=_time(found["Expiration"]),
            assumed_role_arn=found["Arn"],
            assumed_role_id=found["AssumedRoleId"],
            region=region,
            source_identity=found.get("SourceIdentity"),
            packed_policy_size=int(size) if size else None,
            skipped_regions=skipped,
            subject=found.get("SubjectFromWebIdentityToken"),
            provider=found.get("Provider"),
            audience=found.get("Audience"),
        )
    except (KeyError, ValueError):
        raise UnavailableError("sts-answer", "STS's answer lacks a part") from None


def parse_error(body: bytes) -> tuple[str, str]:
    """Return STS's code and text, bounded; for an answer that is neither, ``Unknown``."""
    try:
        found = _texts(body)
    except SallyportError:
        return _json_error(body)
    return found.get("Code", "Unknown")[:64], found.get("Message", "")[:512]


def _json_error(body: bytes) -> tuple[str, str]:
    # Not STS's protocol, but what proxies and emulators in front of it say.
    try:
        value = json.loads(body)
        return str(value.get("__type", "Unknown"))[:64], str(value.get("message", ""))[:512]
    except (ValueError, AttributeError):
        return "Unknown", ""


def _texts(body: bytes) -> dict[str, str]:
    # The transport verified the server; expat loads no external entity and the body is capped.
    try:
        root = ET.fromstring(body)  # noqa: S314 - see above
    except ET.ParseError:
        raise UnavailableError("sts-answer", "STS's answer is not XML") from None
    return {node.tag.rpartition("}")[2]: node.text for node in root.iter() if node.text and node.text.strip()}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
