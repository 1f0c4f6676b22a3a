"""The local Entra behaves as the real one where Sallyport and its clients can tell the difference."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import jwt
import pytest

from local.entra import Entra
from local.entra_directory import (
    ARM,
    AUDIENCE,
    AUDIENCE_V2,
    CONTOSO,
    FABRIKAM,
    GRAPH,
    HOSTILE,
    PAYROLL,
    READER,
    STRANGER,
    WEB_SHOP,
    WRITER,
)
from local.loopback import Server

pytestmark = pytest.mark.enable_socket

HEADER = "only-the-app-knows"
IMDS = "/metadata/identity/oauth2/token"


class Client:
    """Asks a server on loopback; returns status and JSON."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = build_opener(ProxyHandler({}))

    def __call__(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, **query: str
    ) -> tuple[int, Any]:
        url = self.url + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        try:
            request = Request(url, data=data, method=method, headers=headers or {})  # noqa: S310 - loopback
            with self._opener.open(request, timeout=5) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def imds(self, resource: str = AUDIENCE, machine: str = "", **query: str) -> tuple[int, Any]:
        """Ask IMDS as azure-identity does."""
        query = {"api-version": "2018-02-01", "resource": resource} | query
        return self("GET", machine + IMDS, headers={"Metadata": "true"}, **query)

    def keys(self, path: str) -> list[dict[str, Any]]:
        """Follow discovery to the keys."""
        _, document = self("GET", f"{path}/.well-known/openid-configuration")
        _, keys = self("GET", document["jwks_uri"].removeprefix(self.url))
        return list(keys["keys"])

    def minted(self, **asked: object) -> str:
        """Ask the back door for an odd token."""
        status, answer = self("POST", "/admin/tokens", asked)
        assert status == 200, answer
        return str(answer["access_token"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def entra(folder: Path) -> Iterator[Client]:
    server = Server(0, Entra(folder, HEADER))
    server.start()
    yield Client(server.url)
    server.stop()


def verified(entra: Client, token: str, path: str = f"/{CONTOSO.id}", **options: Any) -> dict[str, Any]:
    header = jwt.get_unverified_header(token)
    (key,) = [one for one in entra.keys(path) if one["kid"] == header["kid"]]
    return jwt.decode(token, jwt.PyJWK(key, "RS256"), algorithms=["RS256"], **options)


def test_a_machines_token_verifies_with_the_keys_that_discovery_names(entra: Client) -> None:
    _, answer = entra.imds()
    claims = verified(entra, answer["access_token"], audience=AUDIENCE, issuer=CONTOSO.issuer_v1)
    assert (claims["oid"], claims["tid"], claims["appid"]) == (READER.object_id, CONTOSO.id, READER.client_id)
    assert (claims["ver"], claims["idtyp"]) == ("1.0", "app")
    assert "scp" not in claims


def test_the_api_asked_for_decides_the_version_and_v2_names_the_guid(entra: Client) -> None:
    _, answer = entra.imds(AUDIENCE_V2)
    app = CONTOSO.app(AUDIENCE_V2)
    assert app is not None
    claims = verified(
        entra,
        answer["access_token"],
        f"/{CONTOSO.id}/v2.0",
        audience=app.app_id,
        issuer=CONTOSO.issuer_v2,
    )
    assert (claims["ver"], claims["azp"]) == ("2.0", READER.client_id)
    assert "x5t" not in jwt.get_unverified_header(answer["access_token"])


def test_discovery_names_the_real_issuer_and_keys_on_loopback(entra: Client) -> None:
    _, document = entra("GET", f"/{CONTOSO.id}/.well-known/openid-configuration")
    assert document["issuer"] == CONTOSO.issuer_v1
    assert document["jwks_uri"].startswith(entra.url)


def test_numbers_in_an_answer_of_imds_are_strings(entra: Client) -> None:
    _, answer = entra.imds()
    assert all(isinstance(answer[name], str) for name in ("expires_in", "expires_on", "not_before"))


@pytest.mark.parametrize(
    "headers", [{}, {"Metadata": "false"}, {"Metadata": "true", "X-Forwarded-For": "192.0.2.1"}]
)
def test_imds_answers_only_the_machine_itself(entra: Client, headers: dict[str, str]) -> None:
    query = {"api-version": "2018-02-01", "resource": AUDIENCE}
    status, answer = entra("GET", IMDS, headers=headers, **query)
    assert (status, answer["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("query", [{"resource": AUDIENCE}, {"resource": AUDIENCE, "api-version": "1"}])
def test_imds_wants_a_version_it_knows(entra: Client, query: dict[str, str]) -> None:
    status, answer = entra("GET", IMDS, headers={"Metadata": "true"}, **query)
    assert status == 400
    assert "newest-versions" in answer


@pytest.mark.parametrize(
    "selector",
    [
        {"client_id": WRITER.client_id.upper()},
        {"object_id": WRITER.object_id},
        {"msi_res_id": str(WRITER.own_resource).lower()},
    ],
)
def test_a_user_assigned_identity_is_had_by_any_of_its_names(entra: Client, selector: dict[str, str]) -> None:
    _, answer = entra.imds(**selector)
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert claims["oid"] == WRITER.object_id
    assert (claims["xms_mirid"], claims["xms_az_rid"]) == (WRITER.own_resource, WRITER.host_resource)


def test_an_identity_that_is_not_the_machines_is_not_had(entra: Client) -> None:
    status, answer = entra.imds(client_id=WEB_SHOP.client_id)
    assert (status, answer["error_description"]) == (400, "Identity not found")


def test_a_machine_with_several_identities_and_none_of_its_own_must_be_told_which(entra: Client) -> None:
    status, answer = entra.imds(machine="/vm/many")
    assert status == 400
    assert "Multiple user assigned identities" in answer["error_description"]
    assert entra.imds(machine="/vm/many", client_id=STRANGER.client_id)[0] == 200


def test_an_api_that_the_tenant_does_not_know_gives_no_token(entra: Client) -> None:
    status, answer = entra.imds("api://nobody")
    assert (status, answer["error"]) == (400, "invalid_resource")


def test_the_same_token_is_handed_out_until_somebody_forgets_it(entra: Client) -> None:
    first = entra.imds()[1]["access_token"]
    assert entra.imds()[1]["access_token"] == first
    entra("POST", "/admin/forget", {})
    assert entra.imds()[1]["access_token"] != first


@pytest.mark.parametrize("header", ["", "wrong"])
def test_app_service_wants_the_apps_secret(entra: Client, header: str) -> None:
    query = {"api-version": "2019-08-01", "resource": AUDIENCE}
    status, _ = entra("GET", "/msi/token", headers={"X-IDENTITY-HEADER": header}, **query)
    assert status == 401


def test_app_service_gives_the_apps_identity(entra: Client) -> None:
    query = {"api-version": "2019-08-01", "resource": AUDIENCE}
    _, answer = entra("GET", "/msi/token", headers={"X-IDENTITY-HEADER": HEADER}, **query)
    claims = verified(entra, answer["access_token"], audience=AUDIENCE)
    assert claims["oid"] == WEB_SHOP.object_id
    assert "expires_in" not in answer


def test_another_tenants_token_has_its_own_issuer_and_keys(entra: Client) -> None:
    _, answer = entra.imds(machine="/vm/outsider")
    claims = verified(entra, answer["access_token"], f"/{FABRIKAM.id}", audience=AUDIENCE)
    assert (claims["iss"], claims["oid"]) == (FABRIKAM.issuer_v1, READER.object_id)
    kid = jwt.get_unverified_header(answer["access_token"])["kid"]
    assert kid not in [key["kid"] for key in entra.keys(f"/{CONTOSO.id}")]


def test_keys_outlive_a_restart_and_nobody_else_may_read_them(entra: Client, folder: Path) -> None:
    kid = jwt.get_unverified_header(entra.imds()[1]["access_token"])["kid"]
    again = Entra(folder, HEADER)
    assert jwt.get_unverified_header(again.mint({}))["kid"] == kid
    assert (folder / "contoso.json").stat().st_mode & 0o077 == 0


def test_rotation_signs_with_a_new_key_and_publishes_the_old_one_as_long_as_told(entra: Client) -> None:
    old = jwt.get_unverified_header(entra.imds()[1]["access_token"])["kid"]
    _, rotated = entra("POST", "/admin/rotate", {"tenant": "contoso"})
    new = jwt.get_unverified_header(entra.imds()[1]["access_token"])["kid"]
    assert new == rotated["kid"] != old
    assert {key["kid"] for key in entra.keys(f"/{CONTOSO.id}")} == {old, new}
    entra("POST", "/admin/rotate", {"tenant": "contoso", "keep": False})
    assert {old, new}.isdisjoint(key["kid"] for key in entra.keys(f"/{CONTOSO.id}"))


def test_a_graph_token_cannot_be_verified_and_shows_its_nonce(entra: Client) -> None:
    token = entra.imds(GRAPH)[1]["access_token"]
    assert "nonce" in jwt.get_unverified_header(token)
    with pytest.raises(jwt.InvalidSignatureError):
        verified(entra, token, audience=GRAPH)


def test_a_token_for_resource_manager_verifies_like_any_other(entra: Client) -> None:
    assert verified(entra, entra.imds(ARM)[1]["access_token"], audience=ARM)["aud"] == ARM


def test_odd_tokens_are_odd_in_just_the_way_that_was_asked_for(entra: Client) -> None:
    user = verified(entra, entra.minted(kind="user"), audience=AUDIENCE)
    assert (user["scp"], user["idtyp"]) == ("user_impersonation", "user")
    assert "roles" not in user
    with pytest.raises(jwt.ExpiredSignatureError):
        verified(entra, entra.minted(issued=7200, lifetime=3600), audience=AUDIENCE)
    with pytest.raises(jwt.InvalidAudienceError):
        verified(entra, entra.minted(resource=PAYROLL), audience=AUDIENCE)
    with pytest.raises(jwt.InvalidSignatureError):
        verified(entra, entra.minted(key="unknown"), audience=AUDIENCE)
    changed = verified(entra, entra.minted(claims={"oid": "x"}, remove=["uti"]), audience=AUDIENCE)
    assert changed["oid"] == "x"
    assert "uti" not in changed
    assert "kid" not in jwt.get_unverified_header(entra.minted(header={"kid": None}))


def test_the_hostile_identitys_claims_come_as_they_are(entra: Client) -> None:
    claims = verified(entra, entra.imds(client_id=HOSTILE.client_id)[1]["access_token"], audience=AUDIENCE)
    assert claims["project"] == HOSTILE.extra["project"]
    assert '"Effect":"Allow"' in claims["project"]


@pytest.mark.parametrize(("mode", "status"), [("unavailable", 503), ("empty", 200), ("ok", 200)])
def test_the_keys_can_be_told_to_misbehave(entra: Client, mode: str, status: int) -> None:
    entra("POST", "/admin/keys", {"mode": mode})
    answered, keys = entra("GET", f"/{CONTOSO.id}/discovery/keys")
    assert answered == status
    assert bool(keys.get("keys")) == (mode == "ok")


def test_every_request_is_counted_so_that_its_absence_can_be_shown(entra: Client) -> None:
    entra.imds()
    assert entra("GET", "/admin/requests")[1][IMDS] == 1
    entra("DELETE", "/admin/requests")
    assert IMDS not in entra("GET", "/admin/requests")[1]


@pytest.mark.parametrize("path", ["/", "/admin/nothing", f"/{CONTOSO.id}", "/vm/nobody" + IMDS])
def test_what_is_not_there_is_not_found(entra: Client, path: str) -> None:
    assert entra("GET", path)[0] == 404
