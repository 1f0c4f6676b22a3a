"""Who is in the made user pool, and how they get tokens: by password, on its pages, by a client's secret."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPMessage
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.cloud import REGION, Cloud
from local.deploy import CALLBACK, AwsClient, Deployment, client
from local.progress import LocalCloudError

TENANT = "custom:tenant_id"
SCOPE = "sallyport/credentials"
SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the pool; ``tenant`` is what administrators have put into the attribute."""

    email: str
    tenant: str | None


ACME = Person("user@acme.example", "acme")
GLOBEX = Person("user@globex.example", "globex")
WITHOUT_TENANT = Person("newcomer@example.com", None)
# Who could write this would have a prefix that is another tenant's.
HOSTILE = Person("hostile@example.com", "acme/../globex")
PEOPLE = (ACME, GLOBEX, WITHOUT_TENANT, HOSTILE)


def ensure(cloud: Cloud, deployment: Deployment) -> None:
    """Create who is not there yet, as the pool's administrators do: with a tenant and a password."""
    pool, found = deployment.outputs["UserPoolId"], client(cloud, "cognito-idp")
    for person in PEOPLE:
        attributes = {"email": person.email, "email_verified": "true"}
        if person.tenant is not None:
            attributes[TENANT] = person.tenant
        try:
            found.admin_create_user(
                UserPoolId=pool,
                Username=person.email,
                UserAttributes=[{"Name": key, "Value": value} for key, value in attributes.items()],
                # Cognito would make one that fits the pool's policy; the emulator's own does not.
                TemporaryPassword=password(cloud),
                MessageAction="SUPPRESS",
            )
        except found.exceptions.UsernameExistsException:
            continue
        found.admin_set_user_password(
            UserPoolId=pool, Username=person.email, Password=password(cloud), Permanent=True
        )


def at_cognito(cloud: Cloud) -> AwsClient:
    """Return a client as a user's program has one: no key, and what the emulator leaves out is enforced."""
    return boto3.client(
        "cognito-idp",
        region_name=REGION,
        endpoint_url=cloud.proxy,
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106 - these operations are not signed
        # A trigger that refuses is an internal error in the emulator, which would be tried again.
        config=Config(retries={"total_max_attempts": 1}, read_timeout=SECONDS, proxies={}),
    )


def by_password(cloud: Cloud, deployment: Deployment, person: Person) -> dict[str, str]:
    """Sign in with USER_PASSWORD_AUTH; returns Cognito's tokens by its names for them.

    Raises:
        ClientError: there are no tokens for this user.
    """
    answer = at_cognito(cloud).initiate_auth(
        ClientId=deployment.outputs["UserPoolClientId"],
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={
            "USERNAME": person.email,
            "PASSWORD": password(cloud),
            "SECRET_HASH": secret_hash(cloud, deployment, person.email),
        },
    )
    return dict(answer["AuthenticationResult"])


def secret_hash(cloud: Cloud, deployment: Deployment, name: str) -> str:
    """Return what a client with a secret sends along with a user's name (API reference of InitiateAuth)."""
    client_id = deployment.outputs["UserPoolClientId"]
    key = secret_of(cloud, deployment, client_id).encode()
    return base64.b64encode(hmac.digest(key, (name + client_id).encode(), "sha256")).decode()


def secret_of(cloud: Cloud, deployment: Deployment, client_id: str) -> str:
    """Return an app client's secret, as its backend has it from an operator."""
    found = client(cloud, "cognito-idp").describe_user_pool_client(
        UserPoolId=deployment.outputs["UserPoolId"], ClientId=client_id
    )
    return str(found["UserPoolClient"]["ClientSecret"])


def on_the_pages(cloud: Cloud, deployment: Deployment, person: Person) -> dict[str, str]:
    """Sign in on the pool's own pages: authorization code with PKCE; returns the token endpoint's answer.

    Raises:
        LocalCloudError: something on the way answered other than it should.
    """
    client_id = deployment.outputs["UserPoolClientId"]
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": "openid email",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    form = _Form()
    form.feed(_ask(f"{cloud.proxy}/oauth2/authorize?{urlencode(asked)}")[1])
    filled = form.hidden | {"username": person.email, "password": password(cloud)}
    location, page = _ask(f"{cloud.proxy}/login", filled)
    came_back = parse_qs(urlsplit(location).query)
    if not location.startswith(f"{CALLBACK}?") or came_back.get("state") != [state]:
        raise LocalCloudError(f"The sign-in page did not send the user back: {page[:300]!r}")
    return token_endpoint(
        cloud,
        deployment,
        client_id,
        grant_type="authorization_code",
        code=came_back["code"][0],
        redirect_uri=CALLBACK,
        code_verifier=verifier,
    )


def as_machine(cloud: Cloud, deployment: Deployment) -> dict[str, str]:
    """Get a machine's token: client credentials.

    Raises:
        LocalCloudError: there is none.
    """
    machine = deployment.outputs["UserPoolMachineClientId"]
    return token_endpoint(cloud, deployment, machine, grant_type="client_credentials", scope=SCOPE)


def token_endpoint(cloud: Cloud, deployment: Deployment, client_id: str, **form: str) -> dict[str, str]:
    """Ask the pool's token endpoint as an app client with its secret.

    Raises:
        LocalCloudError: it refused.
    """
    secret = secret_of(cloud, deployment, client_id)
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    _, body = _ask(f"{cloud.proxy}/oauth2/token", form, {"Authorization": f"Basic {basic}"})
    return dict(json.loads(body))


def refusal(error: ClientError) -> str:
    """Return what Cognito says when the trigger refuses; the emulator wraps it in its own words."""
    return str(error.response["Error"]["Message"])


def password(cloud: Cloud) -> str:
    """Return the users' password: one for all, because what sets them apart is not that they know it."""
    file = cloud.state.folder / "pool-password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
    return file.read_text()


class _Form(HTMLParser):
    """The hidden fields of a page's form."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input" and found.get("type") == "hidden" and (name := found.get("name")):
            self.hidden[name] = found.get("value") or ""


class _Stay(HTTPRedirectHandler):
    """Follows nothing: the address of a redirect is what is asked for."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - urllib's own signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        del req, fp, code, msg, headers, newurl
        return None


_opener: OpenerDirector = build_opener(ProxyHandler({}), _Stay())


def _ask(
    url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Return where an answer sends one, and its text."""
    data = None if form is None else urlencode(form).encode()
    request = Request(url, data=data, headers=dict(headers or {}))
    try:
        with _opener.open(request, timeout=SECONDS) as answer:
            return "", answer.read().decode()
    except HTTPError as error:
        text = error.read().decode(errors="replace")
        location = error.headers.get("Location", "")
        if location:
            return location, text
        raise LocalCloudError(f"{urlsplit(url).path} answered {error.code}: {text[:400]}") from None
    except (URLError, OSError) as error:
        raise LocalCloudError(f"{urlsplit(url).path}: {error}") from None
