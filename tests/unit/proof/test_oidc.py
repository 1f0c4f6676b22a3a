"""A token becomes an identity only as docs/verification.md says."""

import json
import re
from dataclasses import FrozenInstanceError
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sallyport import keys as keys_module
from sallyport.adapters import fetch as fetch_module
from sallyport.errors import ProofError
from sallyport.model import Dialect, Identity, OidcAnchor
from sallyport.proof import oidc
from sallyport.proof.dialects import RULES, entra
from sallyport.proof.jwks import KeySet
from sallyport.proof.oidc import LEEWAY, MAX_TOKEN_CHARS, UnknownKeyError, claimed, parse, verify
from sallyport.proof.reasons import REASONS, Reason
from tests.support import tokens

VERIFICATION = Path(__file__).parents[3] / "docs" / "verification.md"


def accept(
    text: str,
    anchor: OidcAnchor | None = None,
    keys: KeySet | None = None,
    now: datetime = tokens.NOW,
) -> Identity:
    return verify(parse(text), anchor or tokens.anchor(), keys or tokens.key_set(), now)


@pytest.mark.parametrize("case", tokens.CASES, ids=lambda case: case.name)
def test_a_bad_token_is_refused_for_its_own_reason(case: tokens.Case) -> None:
    with pytest.raises(ProofError) as refused:
        verify(parse(case.token()), case.anchor, case.keys(), tokens.NOW)
    assert refused.value.reason == case.reason
    assert refused.value.cure
    assert len(refused.value.detail) < 1_000


def test_every_reason_has_a_bad_token() -> None:
    assert {case.reason for case in tokens.CASES} == set(REASONS)


def test_only_an_unknown_key_is_worth_a_refresh() -> None:
    for case in tokens.CASES:
        with pytest.raises(ProofError) as refused:
            verify(parse(case.token()), case.anchor, case.keys(), tokens.NOW)
        assert isinstance(refused.value, UnknownKeyError) is (case.reason == "key-unknown"), case.name


def test_what_a_refused_token_says_reaches_a_detail_only_in_bounds_and_in_ascii() -> None:
    with pytest.raises(ProofError) as refused:
        accept(tokens.token(tokens.good_entra_v1(aud="\x1b[2J\u202e" + "\u0430" * 2_000)))
    assert refused.value.detail.isascii()
    assert refused.value.detail.isprintable()
    assert len(refused.value.detail) < 500


class TestIdentity:
    def test_a_managed_identity_is_its_object_in_its_tenant(self) -> None:
        identity = accept(tokens.good_token())
        assert identity.subject == tokens.OBJECT_ID
        assert identity.anchor_name == "contoso"
        assert identity.anchor_id == tokens.anchor().id
        assert identity.anchor_arn == tokens.anchor().arn
        assert identity.expires_at == datetime.fromtimestamp(tokens.EPOCH + 86_100, tz=tokens.NOW.tzinfo)
        assert identity.proof_digest == parse(tokens.good_token()).digest
        assert identity.notes == ()

    def test_every_claim_is_an_attribute_and_nested_ones_stay_as_they_are(self) -> None:
        nested = {"principal_tags": {"Tenant": ["a"]}}
        claims = tokens.good_entra_v1(roles=["a", "b"], nested=nested)
        identity = accept(tokens.token(claims))
        assert identity.attributes == {f"token:{name}": value for name, value in claims.items()}

    def test_attributes_cannot_be_changed_afterwards(self) -> None:
        with pytest.raises(TypeError):
            accept(tokens.good_token()).attributes["token:oid"] = "x"  # type: ignore[index]  # what must fail

    @pytest.mark.parametrize(
        ("anchor", "claims", "subject"),
        [
            (tokens.entra_v2_anchor(), tokens.good_entra_v2(), tokens.OBJECT_ID),
            (tokens.plain_anchor(), tokens.good_plain(), "project_path:team-a/app:ref_type:branch:ref:main"),
            (tokens.github_anchor(), tokens.good_github(), "repo:team-a/app:ref:refs/heads/main"),
            (tokens.cognito_anchor(), tokens.good_cognito_id(), tokens.OBJECT_ID),
            (tokens.cognito_anchor(), tokens.good_cognito_access(), tokens.OBJECT_ID),
        ],
        ids=["entra v2", "plain", "github", "cognito id", "cognito access"],
    )
    def test_each_dialect_knows_its_subject(self, anchor: OidcAnchor, claims: dict, subject: str) -> None:
        assert accept(tokens.token(claims), anchor).subject == subject

    def test_every_dialect_has_rules(self) -> None:
        assert set(RULES) == set(Dialect)


class TestAlgorithms:
    @pytest.mark.parametrize("alg", tokens.ALL_ALGORITHMS)
    def test_a_pinned_algorithm_verifies(self, alg: str) -> None:
        keys = tokens.key_set(tokens.verification_key(tokens.key_for(alg)))
        assert accept(tokens.token(alg=alg), tokens.anchor(algorithms=(alg,)), keys).subject

    @pytest.mark.parametrize("alg", tokens.ALL_ALGORITHMS)
    def test_a_key_reserved_for_the_algorithm_verifies(self, alg: str) -> None:
        keys = tokens.key_set(tokens.verification_key(tokens.key_for(alg), alg=alg))
        assert accept(tokens.token(alg=alg), tokens.anchor(algorithms=(alg,)), keys).subject

    def test_nothing_else_exists(self) -> None:
        assert set(tokens.ALL_ALGORITHMS) == oidc.ALGORITHMS


class TestHeader:
    @pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", None])
    def test_a_token_may_call_itself_jwt_or_access_token_or_nothing(self, typ: str | None) -> None:
        assert accept(tokens.token(headers=tokens.header(typ=typ))).subject

    @pytest.mark.parametrize("hint", oidc.KEY_HINTS)
    def test_a_hint_at_a_key_is_not_followed_and_noted(self, hint: str) -> None:
        identity = accept(tokens.token(headers=tokens.header(**{hint: "https://attacker.example/keys"})))
        assert identity.notes == ("key-hint-ignored",)

    def test_a_single_key_needs_no_kid(self) -> None:
        assert accept(tokens.token(headers=tokens.header(kid=None))).subject

    def test_a_kid_chooses_among_several_keys(self) -> None:
        text = tokens.token(key=tokens.rsa_key("two"), headers=tokens.header(kid="key-two"))
        assert accept(text, keys=tokens.two_keys()).subject


class TestTimes:
    @pytest.mark.parametrize(
        "times",
        [{"exp": tokens.EPOCH - 59}, {"nbf": tokens.EPOCH + 60}, {"iat": tokens.EPOCH + 60}, {"nbf": None}],
        ids=["just expired", "almost valid", "almost issued", "without nbf"],
    )
    def test_clocks_may_differ_by_the_leeway(self, times: dict) -> None:
        assert accept(tokens.token(tokens.good_entra_v1(**times))).subject

    def test_the_leeway_ends_to_the_microsecond(self) -> None:
        text = tokens.token(tokens.good_entra_v1(exp=tokens.EPOCH))
        last = tokens.NOW + LEEWAY - timedelta(microseconds=1)
        assert accept(text, now=last).subject
        with pytest.raises(ProofError, match="token-expired"):
            accept(text, now=tokens.NOW + LEEWAY)

    def test_a_time_without_zone_is_a_mistake_and_not_a_time(self) -> None:
        with pytest.raises(TypeError):
            accept(tokens.good_token(), now=tokens.NOW.replace(tzinfo=None))


class TestAudiences:
    def test_a_list_of_one_is_like_the_one(self) -> None:
        assert accept(tokens.token(tokens.good_entra_v1(aud=[tokens.AUDIENCE]))).notes == ()

    def test_a_list_of_which_each_is_listed_is_accepted_and_noted(self) -> None:
        anchor = tokens.anchor(audiences=frozenset({"api://x", "api://x/"}))
        text = tokens.token(tokens.good_entra_v1(aud=["api://x", "api://x/"]))
        assert accept(text, anchor).notes == ("several-audiences",)

    def test_a_cognito_access_token_with_both_needs_both_listed(self) -> None:
        text = tokens.token(tokens.good_cognito_access(aud="other"))
        both = tokens.cognito_anchor(audiences=frozenset({"other", tokens.AUDIENCE}))
        assert accept(text, both).subject
        with pytest.raises(ProofError, match="audience-mismatch"):
            accept(text, tokens.cognito_anchor())


class TestEntra:
    def test_a_missing_idtyp_is_accepted_and_noted(self) -> None:
        assert accept(tokens.token(tokens.good_entra_v1(idtyp=None))).notes == ("idtyp-absent",)

    def test_idtyp_app_settles_it_without_a_note(self) -> None:
        assert accept(tokens.token(tokens.good_entra_v1(unique_name="app@contoso"))).notes == ()

    def test_an_arm_audience_is_accepted_where_the_anchor_allows_it(self) -> None:
        anchor = tokens.anchor(audiences=frozenset({tokens.ARM}), allow_arm_audience=True)
        assert accept(tokens.token(tokens.good_entra_v1(aud=tokens.ARM)), anchor).subject

    def test_allowing_arm_does_not_list_it(self) -> None:
        with pytest.raises(ProofError, match="audience-mismatch"):
            accept(tokens.token(tokens.good_entra_v1(aud=tokens.ARM)), tokens.anchor(allow_arm_audience=True))

    @pytest.mark.parametrize(
        "host",
        [
            "management.azure.com",
            "management.core.windows.net",
            "management.usgovcloudapi.net",
            "management.chinacloudapi.cn",
        ],
    )
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_the_arm_audience_of_every_cloud_is_known(self, host: str, slash: str) -> None:
        audience = f"https://{host}{slash}"
        with pytest.raises(ProofError, match="arm-audience"):
            accept(
                tokens.token(tokens.good_entra_v1(aud=audience)),
                tokens.anchor(audiences=frozenset({audience})),
            )

    def test_the_cure_for_graph_and_arm_tokens_is_an_audience_of_ones_own(self) -> None:
        for reason in ("graph-token", "arm-audience"):
            assert "Register an application of your own" in REASONS[reason].cure

    def test_other_clouds_issuers_are_known_in_both_versions(self) -> None:
        for issuer, version in (
            (f"https://sts.chinacloudapi.cn/{tokens.TENANT}/", "1.0"),
            (f"https://login.microsoftonline.us/{tokens.TENANT}/v2.0", "2.0"),
            (f"https://login.partner.microsoftonline.cn/{tokens.TENANT}/v2.0", "2.0"),
        ):
            text = tokens.token(tokens.good_entra_v1(iss=issuer, ver=version))
            assert accept(text, tokens.anchor(issuer)).subject == tokens.OBJECT_ID

    def test_a_look_alike_of_an_issuer_has_no_tenant(self) -> None:
        issuer = f"https://sts.windows.net.attacker.example/{tokens.TENANT}/"
        with pytest.raises(ProofError, match="tenant-mismatch"):
            accept(tokens.token(tokens.good_entra_v1(iss=issuer)), tokens.anchor(issuer))


class TestReplayId:
    def test_it_is_the_unique_id_where_the_issuer_promises_one(self) -> None:
        anchor = tokens.anchor()
        assert accept(tokens.good_token()).replay_id == f"{anchor.id}:jti:k1Yb0cQyqEWxGm9wYAEaAA"
        assert accept(tokens.token(tokens.good_github()), tokens.github_anchor()).replay_id == (
            f"{anchor.id}:jti:0d3c8f2a-7f5c-4a58-9e59-0a6a1b0e1c11"
        )

    def test_it_is_the_digest_of_what_was_signed_everywhere_else(self) -> None:
        text = tokens.token(tokens.good_plain())
        assert accept(text, tokens.plain_anchor()).replay_id == (
            f"{tokens.anchor().id}:sha256:{parse(text).digest}"
        )

    @pytest.mark.parametrize("uti", [None, "", 7, ["a"], "u" * 257])
    def test_it_is_the_digest_where_the_unique_id_is_of_no_use(self, uti: object) -> None:
        assert ":sha256:" in accept(tokens.token(tokens.good_entra_v1(uti=uti))).replay_id

    def test_a_second_signature_of_the_same_bytes_is_the_same_proof(self) -> None:
        # ECDSA takes another random number each time, and (r, n - s) is as good as (r, s).
        anchor = tokens.plain_anchor(algorithms=("ES256",))
        keys = tokens.key_set(tokens.verification_key(tokens.ec_key()))
        one, two = (tokens.token(tokens.good_plain(), alg="ES256") for _ in range(2))
        assert one != two
        assert accept(one, anchor, keys).replay_id == accept(two, anchor, keys).replay_id


class TestSilence:
    def test_an_unverified_token_shows_nothing(self) -> None:
        token = parse(tokens.good_token())
        for text in (repr(token), str(token), f"{token}"):
            assert text == "UnverifiedToken(…)"
        assert tokens.good_token() not in repr(token.raw)

    def test_an_unverified_token_cannot_be_changed(self) -> None:
        token = parse(tokens.good_token())
        with pytest.raises(FrozenInstanceError):
            token.alg = "none"  # type: ignore[misc]  # what must fail
        with pytest.raises(TypeError):
            token.claims["oid"] = "x"  # type: ignore[index]  # what must fail

    def test_what_a_token_claims_is_bounded_and_chosen(self) -> None:
        said = claimed(parse(tokens.token(tokens.good_entra_v1(aud=["a" * 300, "b"], email="a@b.example"))))
        assert set(said) == {"iss", "sub", "aud", "oid", "tid", "appid", "kid", "alg"}
        assert said["aud"] == '["' + "a" * 254
        assert said["oid"] == tokens.OBJECT_ID
        assert all(len(value) <= 256 for value in said.values())

    def test_a_token_that_claims_nothing_else_claims_its_issuer_and_algorithm(self) -> None:
        said = claimed(parse(tokens.token({"iss": "x"}, headers={"alg": "RS256"})))
        assert said == {"iss": "x", "alg": "RS256"}


class TestBounds:
    @pytest.mark.parametrize(
        "payload",
        [
            b'{"a":' + b"[" * 13_000,
            b'{"a":"' + b'\\"' * 6_500,
            b'{"a":' + b"[" * 17 + b'"' + b'\\"' * 6_000,
            b'{"a":[' + b"[]," * 4_000 + b"[]]}",
            b"{" + b'"a":1,' * 2_000 + b'"a":1}',
            b'{"a":' + b"9" * 13_000 + b"}",
            b'{"a":[' + b"1e9," * 3_000 + b"1]}",
            b'{"\\u0061' + b"\\u0061" * 2_000 + b'":1}',
        ],
        ids=["open", "quotes", "both", "pairs", "members", "digits", "floats", "escapes"],
    )
    @pytest.mark.timeout(20)  # a hang is a defect; how long it takes is `make bench`'s to say
    def test_the_worst_payload_is_refused_like_any_other(self, payload: bytes) -> None:
        text = f"{tokens.b64(json.dumps(tokens.header()).encode())}.{tokens.b64(payload)}.AAAA"
        assert len(text) <= MAX_TOKEN_CHARS
        with pytest.raises(ProofError):
            parse(text)

    def test_the_longest_legal_payload_is_read(self) -> None:
        claims = tokens.good_entra_v1(roles=["r" * 37] * 300)
        text = tokens.token(claims)
        assert 15_000 < len(text) < MAX_TOKEN_CHARS
        assert accept(text).attributes["token:roles"] == ["r" * 37] * 300

    def test_text_with_many_brackets_is_not_deep(self) -> None:
        claims = tokens.good_entra_v1(policy='{"a": [[[[[[[[[[[[[[[[[[[[ \\" {{{{')
        assert accept(tokens.token(claims)).attributes["token:policy"] == claims["policy"]

    def test_sixteen_levels_are_enough_and_seventeen_too_many(self) -> None:
        def nested(levels: int) -> str:
            return tokens.spliced(b'"oid"', b'"deep": ' + b"[" * levels + b"]" * levels + b', "oid"')

        assert accept(nested(15)).subject
        with pytest.raises(ProofError, match="payload-not-json"):
            parse(nested(16))


def test_the_documentation_has_the_steps_of_the_code() -> None:
    source = Path(oidc.__file__).read_text(encoding="utf-8")
    section = VERIFICATION.read_text(encoding="utf-8").split("\n## Tokens\n", 1)[1].split("\n## ", 1)[0]
    in_code = [int(number) for number in re.findall(r"^ +# \((\d+)\)", source, re.MULTILINE)]
    in_text = [int(number) for number in re.findall(r"^### \((\d+)\)", section, re.MULTILINE)]
    assert in_code == in_text == list(range(1, 13))


@pytest.mark.parametrize(
    "reasons", [REASONS, keys_module.REASONS, fetch_module.REASONS], ids=["token", "keys", "fetch"]
)
def test_the_documentation_has_every_reason_in_the_words_of_the_code(reasons: dict[str, Reason]) -> None:
    text = VERIFICATION.read_text(encoding="utf-8")
    rows = [f"| `{reason}` | {entry.sentence} | {entry.cure} |" for reason, entry in reasons.items()]
    assert [row for row in rows if row not in text] == []


@pytest.mark.parametrize("claim", entra.USER_CLAIMS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_an_untyped_token_with_anything_that_only_users_have_is_refused(version: str, claim: str) -> None:
    claims, anchor = {
        "1.0": (tokens.good_entra_v1, tokens.anchor()),
        "2.0": (tokens.good_entra_v2, tokens.entra_v2_anchor()),
    }[version]
    assert accept(tokens.token(claims(idtyp=None)), anchor).notes == ("idtyp-absent",)
    with pytest.raises(ProofError) as refused:
        accept(tokens.token(claims(idtyp=None, **{claim: "x"})), anchor)
    assert refused.value.reason == "user-token"


def test_the_documentation_lists_what_gives_a_user_away_and_where_a_client_is_named() -> None:
    text = VERIFICATION.read_text(encoding="utf-8")
    assert f"| must not be there | {', '.join(f'`{name}`' for name in entra.USER_CLAIMS)} |" in text
    named = "; ".join(f"version {version}: `{name}`" for version, name in entra.CLIENT_CLAIMS.items())
    assert f"| must be there, a GUID | {named} |" in text
