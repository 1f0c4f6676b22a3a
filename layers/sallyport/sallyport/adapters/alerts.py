"""Alerts by SNS: plain text, a screenful, nothing in it that a mail program could take for markup."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from sallyport.adapters.aws import SignedService
from sallyport.audit.display import display
from sallyport.audit.finding import MAX_TITLE, Finding
from sallyport.errors import UnavailableError

API_VERSION: Final = "2010-03-31"
# SNS's own limit for a subject (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html).
MAX_SUBJECT: Final = 99
# A message has 256 KB; nobody reads more than this on a phone.
MAX_TEXT: Final = 8_000
# Findings that one message names: as many lines are still one message of that length.
MOST_NAMED: Final = 25


class Alerts:
    """Publishes findings to one topic.

    ``pages`` is where the documentation can be read, with a slash at its end; empty if nowhere.
    """

    def __init__(self, service: SignedService, topic: str, pages: str = "") -> None:
        self._service = service
        self._topic = topic
        self._pages = pages

    def __call__(self, found: Sequence[Finding]) -> None:
        """Tell of one finding, or of several in one message.

        Raises:
            UnavailableError: it is not known to be published.
        """
        form = {
            "Action": "Publish",
            "Version": API_VERSION,
            "TopicArn": self._topic,
            "Subject": subject(found[0]) if len(found) == 1 else subject_of_many(found),
            "Message": text(found[0], self._pages) if len(found) == 1 else text_of_many(found),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        response = self._service.post("/", headers, urlencode(form).encode())
        if response.status != 200:  # noqa: PLR2004 - Publish's only good answer
            raise UnavailableError("alert-refused", f"SNS answered {response.status}")
        if b"<MessageId>" not in response.body:
            # Whoever answered so was not SNS. Rather told twice than by nobody.
            raise UnavailableError("alert-answer", "SNS's answer names no message")


def subject(finding: Finding) -> str:
    """Return a subject as SNS takes it: ASCII in one line, beginning with a letter."""
    line = f"Sallyport {finding.severity.name}: {finding.title}"
    return line.encode("ascii", "replace").decode()[:MAX_SUBJECT]


def text(finding: Finding, pages: str = "") -> str:
    """Return a finding as plain text. Its values are harmless already and pass ``display`` once more."""
    times = dict.fromkeys(map(_when, (finding.first_event, finding.last_event)))
    lines = [
        f"{finding.severity.name}: {finding.title}",
        "",
        finding.description,
        "",
        *([f"First: {finding.first}"] if finding.first else []),
        f"Then: {finding.remedy}" if finding.first else f"What to do: {finding.remedy}",
        f"Runbook: {pages}{finding.runbook}",
        "",
        f"Rule: {finding.rule_id}",
        f"Account: {finding.account}   Region: {finding.region}",
        f"When: {' to '.join(times)}, {finding.count} event(s)",
        *(f"{one.type}: {one.id}" for one in finding.resources),
        "",
        *(f"{name}: {value}" for name, value in finding.evidence.items()),
        "",
        f"All of it: sallyport findings --id {finding.id}",
    ]
    # Markup was escaped when the finding was made; here a newline in a value would forge a line.
    shown = (display(line, limit=MAX_TEXT, markup=False).replace("\\\\", "\\") for line in lines)
    return "\n".join(shown)[:MAX_TEXT]


def subject_of_many(found: Sequence[Finding]) -> str:
    """Return a subject that says how many there are, and how bad the worst is."""
    return f"Sallyport {max(one.severity for one in found).name}: {len(found)} findings"


def text_of_many(found: Sequence[Finding]) -> str:
    """Return several findings as plain text, the worst first and a line for each."""
    worst_first = sorted(found, key=lambda one: (-one.severity, one.title))
    lines = [
        f"{len(found)} findings of one look at the account:",
        "",
        *(f"{one.severity.name}: {one.title}" for one in worst_first[:MOST_NAMED]),
        *([f"and {len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []),
        "",
        "All of them: sallyport findings",
    ]
    return "\n".join(
        display(line, limit=MAX_TITLE + 20, markup=False).replace("\\\\", "\\") for line in lines
    )


def _when(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
