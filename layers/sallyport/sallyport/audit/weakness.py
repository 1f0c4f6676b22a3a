"""What is weak in an account's configuration, whoever looks: the posture scan or a rule on an event."""

import json
from dataclasses import dataclass
from enum import StrEnum

from sallyport.audit.finding import Resource, Severity
from sallyport.model import JsonValue


class Verdict(StrEnum):
    """How sure it is.

    ``CANNOT_TELL`` is no weaker kind of weakness: what was looked at could be sound or wide open, and
    somebody who knows more has to look. Nobody may take it for a pass.
    """

    WEAK = "weak"
    CANNOT_TELL = "cannot-tell"


PathOfChange = tuple[str | int, ...]
"""Members and indexes from the document's top: ``("Statement", 0, "Condition", "StringEquals")``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The smallest change that mends a document: ``value`` goes to ``path``; ``None`` removes what is there.

    What only the role's owner knows stands in angle brackets: ``<external id>``.
    """

    path: PathOfChange
    value: JsonValue

    def __str__(self) -> str:
        place = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in self.path).lstrip(".")
        if self.value is None:
            return f"remove {place}"
        return f"set {place} to {json.dumps(self.value, ensure_ascii=True)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """One thing that is weak, or that nobody can tell from here.

    Attributes:
        code: stable, kebab-case; a heading of ``docs/posture.md``.
        severity: how urgent it is.
        verdict: how sure it is.
        statement: the index in ``Statement``, from 0 (a single statement is 0); ``None`` where the whole
            document is meant, or something that is no policy.
        subject: what it is about within the statement: a principal, a condition key, a pool's client.
            Harmless to show: it has passed ``display``.
        text: what it means, as a sentence without what somebody else could have written as markup.
        cure: what would mend it, in words.
        change: the smallest change of the document; ``None`` where only its owner can say.
    """

    code: str
    severity: Severity
    verdict: Verdict
    subject: str
    text: str
    cure: str
    statement: int | None = None
    change: Change | None = None

    @property
    def is_certain(self) -> bool:
        """Whether it is weak for sure; otherwise nobody can tell from here."""
        return self.verdict is Verdict.WEAK


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A weakness, and what has it.

    ``part`` is what was looked at when it was found. ``occurrence`` is what is counted, if that is not each
    look.
    """

    part: str
    resource: Resource
    weakness: Weakness
    occurrence: str = ""
