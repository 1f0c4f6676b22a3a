"""The credentials of a session, and the four forms in which AWS's tools read them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from sallyport.model import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCredentials:
    """What was issued. Shows no secret.

    Args:
        access_key_id: not a secret; records and CloudTrail name it.
        secret_access_key: the secret that requests are signed with.
        session_token: goes with each request.
        expiration: when AWS stops to accept them; aware, in UTC.
        account: the role's account, 12 digits.
        exchange_id: which exchange issued them, as ``sallyport explain`` takes it; empty if unknown.
        ends_here: the end by this machine's clock, as far as the answer's date showed it.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    expiration: datetime
    account: str
    exchange_id: str = ""
    ends_here: datetime | None = None

    @property
    def ends(self) -> datetime:
        """When they end by this machine's clock; the earlier one if the two disagree."""
        return self.expiration if self.ends_here is None else min(self.expiration, self.ends_here)

    def seen(self, now: datetime, theirs: datetime | None) -> Self:
        """Return these credentials with their end by this machine's clock.

        A clock that is behind would have them last longer than they do.

        Args:
            now: the time here.
            theirs: the time there, if the answer said it.
        """
        if theirs is None:
            return self
        try:
            return replace(self, ends_here=now + (self.expiration - theirs))
        except OverflowError:
            # A date so far away says nothing about a clock.
            return self

    def to_credential_process(self) -> dict[str, object]:
        """Return what ``credential_process`` prints.

        Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html.
        """
        return {
            "Version": 1,
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": self.secret_access_key.reveal(),
            "SessionToken": self.session_token.reveal(),
            "Expiration": self._until(),
            "AccountId": self.account,
        }

    def to_container(self) -> dict[str, object]:
        """Return what a container credentials endpoint answers.

        Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html.
        """
        return {
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": self.secret_access_key.reveal(),
            "Token": self.session_token.reveal(),
            "Expiration": self._until(),
            "AccountId": self.account,
        }

    def to_imds(self, now: datetime) -> dict[str, object]:
        """Return what an instance's metadata service answers for a role.

        Args:
            now: said as the time of the last update.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html.
        """
        return {
            "Code": "Success",
            "LastUpdated": _iso(now),
            "Type": "AWS-HMAC",
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": self.secret_access_key.reveal(),
            "Token": self.session_token.reveal(),
            "Expiration": self._until(),
            "AccountId": self.account,
        }

    def to_environment(self) -> dict[str, str]:
        """Return the variables that AWS's tools read.

        Source: https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html.
        """
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key.reveal(),
            "AWS_SESSION_TOKEN": self.session_token.reveal(),
            "AWS_CREDENTIAL_EXPIRATION": self._until(),
        }

    @classmethod
    def from_credential_process(cls, document: Mapping[str, Any], *, exchange_id: str = "") -> Self:
        """Return what a document in ``credential_process``'s form says, as ``POST /credentials`` answers.

        Raises:
            ValueError: it is none. The words repeat nothing of it.
        """
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AccountId")
        texts = [document.get(name) for name in names]
        # What these four may consist of keeps line ends and quotes out of files and variables.
        if document.get("Version") != 1 or not all(isinstance(one, str) and _is_plain(one) for one in texts):
            raise ValueError("these are no credentials")
        access_key_id, secret, token, until, account = map(str, texts)
        expiration = datetime.fromisoformat(until)
        if expiration.tzinfo is None:
            raise ValueError("the end has no time zone")
        try:
            expiration = expiration.astimezone(UTC)
        except OverflowError:
            raise ValueError("the end is outside of time") from None
        return cls(
            access_key_id=access_key_id,
            secret_access_key=Secret(secret),
            session_token=Secret(token),
            expiration=expiration,
            account=account,
            exchange_id=exchange_id,
        )

    def _until(self) -> str:
        return _iso(self.expiration)


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _is_plain(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
