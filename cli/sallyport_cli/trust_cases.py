"""A table of identities and what they are to get, run against a trust file.

Strict as the trust file itself: a case that was misspelt must not pass for one that holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path as FilePath
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from sallyport.audit.display import display
from sallyport.errors import RequestError, TrustFileError
from sallyport.model import OidcAnchor, X509Anchor
from sallyport.proof.oidc import MAX_TIME
from sallyport_cli.failure import CommandError
from sallyport_cli.output import shown
from sallyport_cli.simulation import (
    Presented,
    Simulated,
    Wanted,
    checked,
    of_certificate,
    of_token,
    policy_digest,
)
from sallyport_cli.simulation_inputs import certificates, moment
from sallyport_cli.stand_in import token_of
from sallyport_cli.strict_yaml import MAX_PROBLEMS, LocatedProblem, Path, Positions, parse
from sallyport_cli.trust_cases_schema import SCHEMA
from sallyport_cli.trust_source import TrustSource

TOKEN_LIFE: Final = timedelta(hours=1)
"""How long the tokens of cases live that do not say it: as issuers have it."""

_SHOWN: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the table: who asks for what, and what is to come of it.

    ``denied`` is the reason that is expected, ``granted`` what the grant is to have; one of them is set.
    """

    name: str
    line: int
    anchor: str
    claims: Mapping[str, Any] | None
    certificate: FilePath | None
    intermediates: FilePath | None
    wanted: Wanted
    at: datetime
    is_now: bool
    denied: str | None
    granted: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """A file of cases without problems."""

    path: str
    trust_file: FilePath | None
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A case and what came of it; ``differences`` is empty if that was expected."""

    case: Case
    simulated: Simulated | None
    differences: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether it came as expected."""
        return not self.differences


def read_cases(data: bytes, path: FilePath) -> CaseFile:
    """Return the cases in a file.

    Args:
        data: its bytes.
        path: where it lies; the files that it names are relative to that.

    Raises:
        TrustFileError: with every problem found, as ``LocatedProblem``, in the order of the file.
    """
    parsed = parse(data)
    if parsed.problems:
        raise TrustFileError(tuple(sorted(parsed.problems)))
    document: Any = parsed.document
    reader = _Reader(document, parsed.positions, path.parent)
    reader.check_form()
    reader.raise_if_any()
    now = moment(None)
    cases = tuple(reader.cases(now))
    reader.raise_if_any()
    trust_file = document.get("trust_file")
    return CaseFile(
        path=str(path),
        trust_file=None if trust_file is None else path.parent / trust_file,
        cases=cases,
    )


class _Reader:
    def __init__(self, document: Any, positions: Positions, folder: FilePath) -> None:  # noqa: ANN401 - YAML
        self._document = document
        self._positions = positions
        self._folder = folder
        self._problems: list[LocatedProblem] = []

    def raise_if_any(self) -> None:
        if self._problems:
            raise TrustFileError(tuple(sorted(self._problems)[:MAX_PROBLEMS]))

    def refuse(self, path: Path, text: str, cure: str) -> None:
        line, column = self._positions.of(path)
        self._problems.append(
            LocatedProblem(
                line=line,
                column=column,
                text=display(text, limit=_SHOWN, markup=False),
                cure=display(cure, limit=_SHOWN, markup=False),
                path=path,
            )
        )

    def check_form(self) -> None:
        for error in Draft202012Validator(SCHEMA).iter_errors(self._document):
            for path, text, cure in _in_words(error):
                self.refuse(path, text, cure)
        names: dict[str, int] = {}
        cases = self._document.get("cases", ()) if isinstance(self._document, dict) else ()
        for index, case in enumerate(cases if isinstance(cases, list) else ()):
            name = case.get("name") if isinstance(case, dict) else None
            if isinstance(name, str) and names.setdefault(name, index) != index:
                self.refuse(
                    ("cases", index, "name"),
                    "another case has this name",
                    "give every case a name of its own",
                )

    def cases(self, now: datetime) -> Iterator[Case]:
        at = self._document.get("at")
        default = now if at is None else self._moment(("at",), at)
        for name, identity in self._document["identities"].items():
            self._check_identity(name, identity)
        for index, case in enumerate(self._document["cases"]):
            path: Path = ("cases", index)
            identity = self._document["identities"].get(case["identity"])
            if identity is None:
                known = ", ".join(self._document["identities"])
                self.refuse(
                    (*path, "identity"), "there is no such identity", f"declare it; there are: {known}"
                )
                continue
            claims = self._claims(path, case, identity)
            wanted = self._wanted(path, case)
            moment_of_case = self._moment((*path, "at"), case["at"]) if "at" in case else default
            if wanted is None or moment_of_case is None:
                continue
            yield Case(
                name=case["name"],
                line=self._positions.of(path)[0],
                anchor=identity["trust_anchor"],
                claims=claims,
                certificate=self._path(identity.get("certificate")),
                intermediates=self._path(identity.get("intermediates")),
                wanted=wanted,
                at=moment_of_case,
                is_now=at is None and "at" not in case,
                denied=case["expect"].get("denied"),
                granted=case["expect"].get("granted"),
            )

    def _check_identity(self, name: str, identity: Mapping[str, Any]) -> None:
        path: Path = ("identities", name)
        if ("claims" in identity) == ("certificate" in identity):
            text = "an identity has either claims or a certificate"
            self.refuse(path, text, "write claims: {...} or certificate: FILE")
        if "intermediates" in identity and "certificate" not in identity:
            text = "intermediates go with a certificate"
            self.refuse((*path, "intermediates"), text, "remove it")

    def _claims(
        self, path: Path, case: Mapping[str, Any], identity: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        if "claims" not in identity:
            for key in ("claims", "without"):
                if key in case:
                    self.refuse((*path, key), "a certificate has no claims", "remove it")
            return None
        changes, without = case.get("claims", {}), case.get("without", [])
        for index, name in enumerate(without):
            if name not in identity["claims"] or name in changes:
                self.refuse(
                    (*path, "without", index),
                    f"the identity has no claim {name}, or this case gives it",
                    "remove it",
                )
        return {
            name: value for name, value in {**identity["claims"], **changes}.items() if name not in without
        }

    def _wanted(self, path: Path, case: Mapping[str, Any]) -> Wanted | None:
        try:
            return checked(
                Wanted(
                    role_arn=case["role"],
                    profile=case.get("profile"),
                    duration=case.get("duration"),
                    session_name=case.get("session_name"),
                    source_ip=case.get("source_ip", ""),
                )
            )
        except RequestError as error:
            self.refuse(path, f"no exchange would look at this: {error.detail}", "correct it")
            return None

    def _moment(self, path: Path, text: str) -> datetime | None:
        try:
            return moment(text)
        except CommandError as error:
            self.refuse(path, "this is not a time with its time zone", error.cure)
            return None

    def _path(self, name: str | None) -> FilePath | None:
        return None if name is None else self._folder / name


def run(case: Case, source: TrustSource) -> Result:
    """Run one case."""
    anchor = source.anchor_named(case.anchor)
    if anchor is None:
        known = ", ".join(one.name for one in source.anchors) or "none"
        return Result(
            case=case,
            simulated=None,
            differences=(f"the trust file has no trust anchor {case.anchor} (there: {known})",),
        )
    if case.claims is not None:
        if not isinstance(anchor, OidcAnchor):
            return _another_kind(case, "certificates")
        token = token_of(_completed(case.claims, anchor, case.at), _algorithm(anchor))
        found = of_token(source, token, case.wanted, case.at, is_now=case.is_now)
    else:
        if not isinstance(anchor, X509Anchor) or case.certificate is None:
            return _another_kind(case, "tokens")
        try:
            presented = _certificates(case.certificate, case.intermediates)
        except CommandError as error:
            return Result(case=case, simulated=None, differences=(error.detail,))
        found = of_certificate(source, presented, anchor, case.wanted, case.at)
    return Result(case=case, simulated=found, differences=tuple(_differences(case, found)))


def warnings(results: Sequence[Result], source: TrustSource) -> Iterator[str]:
    """Yield what the table itself lacks."""
    refusals = sum(one.case.denied is not None for one in results)
    if 2 * refusals < len(results):
        yield (
            f"only {refusals} of {len(results)} cases expect a refusal: at least half should, since what "
            "must not happen is what a trust file is for"
        )
    covered: set[str] = set()
    for one in results:
        decision = one.simulated.decision if one.simulated is not None else None
        if decision is not None:
            covered |= {
                trace.profile
                for trace in decision.trace
                if trace.outcome in {"allowed", "denied", "unusable"}
            }
    profiles = {
        str(profile["name"])
        for key, document in source.items.items()
        if key.startswith("role#")
        for profile in document["profiles"]
    }
    for name in sorted(profiles - covered):
        yield f"no case is decided by the profile {name}"


def _another_kind(case: Case, kind: str) -> Result:
    text = f"the trust anchor {case.anchor} is for {kind}"
    return Result(case=case, simulated=None, differences=(text,))


def _completed(claims: Mapping[str, Any], anchor: OidcAnchor, at: datetime) -> dict[str, Any]:
    """Return claims with what every token has and no case is about."""
    issued = min(max(int(at.timestamp()), 1), MAX_TIME - int(TOKEN_LIFE.total_seconds()))
    added: dict[str, Any] = {
        "iss": anchor.issuer,
        "iat": issued,
        "exp": issued + int(TOKEN_LIFE.total_seconds()),
    }
    if len(anchor.audiences) == 1:
        added["aud"] = next(iter(anchor.audiences))
    return {**added, **claims}


def _algorithm(anchor: OidcAnchor) -> str:
    # Keys on curves are made in no time.
    return next((name for name in anchor.algorithms if name.startswith("ES")), anchor.algorithms[0])


# The same few certificates ask in many cases.
@cache
def _certificates(path: FilePath, intermediates: FilePath | None) -> Presented:
    return certificates(path, intermediates)


def _differences(case: Case, found: Simulated) -> Iterator[str]:
    if case.denied is not None:
        if found.error is None:
            yield f"expected denied ({case.denied}), but it would be granted"
        elif found.reason != case.denied:
            yield f"expected denied ({case.denied}), but it would be {found.outcome} ({found.reason})"
        return
    grant = found.grant
    if grant is None:
        yield f"expected granted, but it would be {found.outcome} ({found.reason})"
        return
    actual: dict[str, Any] = {
        "profile": grant.profile_name,
        "tags": {tag.key: tag.value for tag in grant.tags},
        "transitive_tags": sorted(tag.key for tag in grant.tags if tag.transitive),
        "source_identity": grant.source_identity,
        "session_name": grant.session_name,
        "duration": grant.duration,
        "policy_sha256": policy_digest(grant),
        "policy_arns": sorted(grant.policy_arns),
    }
    for name, expected in (case.granted or {}).items():
        wanted = sorted(expected) if isinstance(expected, list) else expected
        if actual[name] != wanted:
            yield f"{name}: expected {_said(wanted)}, but it would be {_said(actual[name])}"


def _said(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}={one}" for key, one in sorted(value.items())) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _in_words(error: ValidationError) -> Iterator[tuple[Path, str, str]]:
    path: Path = tuple(error.absolute_path)
    expected: Any = error.validator_value
    instance: Any = error.instance
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        known = ", ".join(sorted(schema["properties"]))
        for key in instance:
            if key not in schema["properties"]:
                yield (*path, key), f"{key} is unknown here", f"use one of {known}"
    elif error.validator == "required":
        for key in expected:
            if key not in instance and f"'{key}'" in error.message:
                yield path, f"{key} is missing", f"add {key}"
    elif "expect" in path[-1:]:
        yield (
            path,
            "what is expected is not said",
            "write denied: REASON, or granted: {} with what it must have",
        )
    else:
        yield path, f"this is not what belongs here: {error.message}", f"see the schema: {shown(expected)}"
