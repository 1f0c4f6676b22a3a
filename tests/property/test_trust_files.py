"""Whatever a trust file contains: it compiles, or it is refused with problems, and it never half works."""

from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sallyport.model import Decision, Denial, X509Anchor
from sallyport.proof.certificates import authority_problem
from sallyport.trust.changes import classify
from sallyport.trust.compile import load_anchor
from sallyport.trust.decide import authorize
from sallyport.trust.files import files_named
from tests.support.trust_files import (
    HOLDER,
    NOW,
    ROLE,
    authority,
    compiled,
    entra,
    files,
    identity,
    plain,
    problems,
    profile,
    profiles_of,
    request,
    trust_file,
)

TEXT = st.text(max_size=12) | st.sampled_from(
    [
        *("*", "${token:oid}", "contoso-${token:oid}", "${", "1h", "1h\n", "999999d", "allow", "deny", ROLE),
        *("https://sts.windows.net/common/", "https://[::1", "https://[", "https://a.b\n", "http://[::1/"),
        *("ca.pem", "issuing.pem", "nowhere.pem", "x509:Subject", "x509:SAN/URI", "${x509:Subject}", "drop"),
        *("http://pki.example.com/ca.crl", "http://[", "http://127.0.0.1/", "Name/*", "../ca.crl", "#"),
        *("token:sub", "x509:", "arn:", "StringLike", "Null", "aws:x", "oidc", "x509", "web-identity"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
GOOD = trust_file(
    {
        "reader": profile(
            session_tags={"A": {"value": "${token:tid}", "optional": True}, "B": "b"},
            transitive_tags=["B"],
            session_name="contoso-${token:oid}",
            source_identity="contoso.${token:oid}",
            session_policy={
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::b/${token:tid}/*"]},
                    {
                        "Effect": "Deny",
                        "Action": "s3:*",
                        "Resource": "*",
                        "Condition": {"Bool": {"a": "true"}},
                    },
                ],
            },
            managed_policies=["arn:aws:iam::aws:policy/ReadOnlyAccess"],
            duration="15m",
            issuance="assume-role",
            effect="allow",
            priority=3,
        ),
        "no": profile(effect="deny", condition={"StringLike": {"token:oid": ["x*", "y"]}}),
        "web": profile(
            trust_anchor="other",
            issuance="web-identity",
            condition={"StringEquals": {"token:sub": "x"}},
            advisory=True,
            unconditional=False,
            accept_session_name=True,
        ),
        "host": profile(
            trust_anchor="datacenter",
            condition={**HOLDER, "StringLike": {"x509:SAN/URI": "spiffe://example.com/a/*"}},
            session_tags={"Host": "${x509:Subject/CN}"},
            attribute_mapping={
                "x509Subject": ["CN", "OU"],
                "x509Issuer": ["*"],
                "x509SAN": ["DNS", "Name/*"],
            },
            unfit_values="drop",
            source_identity="datacenter.${x509:Subject}",
            session_name="datacenter-${x509:Issuer},${x509:Serial}",
        ),
        "guest": profile(
            trust_anchor="guests", condition={"StringEquals": {"x509:Subject/OU": "x"}}, priority=1
        ),
    },
    {
        "contoso": entra(algorithms=["RS256"], jwks_hosts=["k.example.com"], keys_max_age="4h"),
        "other": plain(),
        "datacenter": authority(
            intermediates="issuing.pem",
            crls=["lists/ca.crl"],
            crl_urls=["http://pki.example.com/ca.crl"],
            stale_crls="allow",
            any_extended_key_usage=True,
            replay="once",
            bare_names=True,
        ),
        "guests": authority(certificates="both.pem"),
    },
)


@given(JSON)
def test_any_json_is_a_trust_file_or_is_refused(document: object) -> None:
    problems(document)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of everything within a document."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*path, index))
    return found


PLACES = places(GOOD)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(PLACES), st.sampled_from(["set", "add", "drop"]), TEXT, JSON), max_size=3
    )
)
def test_a_bent_trust_file_is_refused_or_still_decides(bends: list[tuple[Any, str, str, Any]]) -> None:
    document = deepcopy(GOOD)
    for path, how, key, value in bends:
        inner: Any = document
        try:
            for step in path[:-1]:
                inner = inner[step]
            if how == "set":
                inner[path[-1]] = value
            elif how == "drop":
                del inner[path[-1]]
            else:
                inner[key] = value
        except (KeyError, IndexError, TypeError):
            continue
    if problems(document):
        return
    trust = compiled(document)
    for item_key, item in trust.items.items():
        if item_key.startswith(("anchor#", "issuer#")):
            assert load_anchor(item) in trust.anchors
    assert classify(trust.items, trust.items) == ()
    assert isinstance(classify(compiled(GOOD).items, trust.items), tuple)
    for anchor in trust.anchors:
        who = identity(trust, anchor.name)
        decision = authorize(who, request(), profiles_of(trust), disabled=(), now=NOW)
        assert isinstance(decision, Decision)


def test_the_file_that_is_bent_is_a_good_one() -> None:
    assert not problems(GOOD)


@given(
    st.text(min_size=1),
    st.dictionaries(st.text(), JSON, max_size=4),
    st.none() | st.text(),
    st.none() | st.integers(),
)
def test_an_empty_trust_file_denies_everything(
    role: str, claims: dict[str, Any], wish: str | None, duration: int | None
) -> None:
    trust = compiled({"version": 1})
    assert not trust.items
    stranger = identity(compiled(GOOD), "other")
    asks = request(role_arn=role, profile=wish, session_name=wish, policy=wish, duration=duration)
    outcome = authorize(stranger, asks, profiles_of(trust, role), disabled=(), now=NOW).outcome
    assert isinstance(outcome, Denial)
    assert claims is not None


DATACENTER = trust_file({}, {"datacenter": GOOD["trust_anchors"]["datacenter"]})


@given(st.sampled_from(["ca.pem", "issuing.pem"]), st.binary(max_size=200))
def test_any_bytes_beside_a_trust_file_are_certificates_or_are_refused(name: str, data: bytes) -> None:
    assert problems(DATACENTER, beside={name: data})


@given(st.sampled_from(["ca.pem", "issuing.pem"]), st.integers(0), st.integers(0, 255))
def test_a_bent_file_of_certificates_is_refused_or_holds_authorities(name: str, at: int, byte: int) -> None:
    data = bytearray(files()[name])
    data[at % len(data)] = byte
    if not problems(DATACENTER, beside={name: bytes(data)}):
        (anchor,) = compiled(DATACENTER, beside={name: bytes(data)}).anchors
        assert isinstance(anchor, X509Anchor)
        assert not any(map(authority_problem, (*anchor.certificates, *anchor.intermediates)))


@given(JSON)
def test_whatever_a_document_is_it_names_files_or_none(document: object) -> None:
    assert all(isinstance(name, str) for name in files_named(document))
    assert files_named({"trust_anchors": {"a": document}}) is not None


def test_the_anchor_whose_files_are_bent_is_a_good_one() -> None:
    assert not problems(DATACENTER)
