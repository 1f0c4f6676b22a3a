"""Every setting of a workload: its option, its variable and its name in ``config.toml``, in one table.

The quick reader of arguments (``fast``), the command line (``command``), profiles (``config``) and the
cache's key all come from here, so that they cannot disagree.
"""

AZURE, X509, TOKEN_FILE, COGNITO = "azure", "x509", "token-file", "cognito"

SOURCES = (AZURE, X509, TOKEN_FILE, COGNITO)
"""Where an identity can come from."""

_TOKENS = (AZURE, TOKEN_FILE, COGNITO)


PKCS11 = "pkcs11:"
"""How the URI of a key in a token begins (RFC 7512)."""


class Option:
    """A setting.

    Not a dataclass: what a cached call imports is what it costs.

    Args:
        name: the option without its dashes, and the name in a profile.
        metavar: what its value is, in help.
        help: one sentence.
        sources: the sources that know it.
        variables: the environment's names for it, the first that is set counts.
        kind: ``text``, ``number``, ``path`` or ``flag``. A flag is said on the command line alone.
        is_key: whether ``-`` stands for standard input, and ``pkcs11:…`` for a key in a token.
    """

    __slots__ = ("help", "is_key", "kind", "metavar", "name", "sources", "variables")

    def __init__(  # noqa: PLR0913 - a row has that many cells
        self,
        name: str,
        metavar: str,
        help: str,  # noqa: A002 - what every library of commands calls it
        *,
        sources: tuple[str, ...] = SOURCES,
        variables: tuple[str, ...] | None = None,
        kind: str = "text",
        is_key: bool = False,
    ) -> None:
        self.name = name
        self.metavar = metavar
        self.help = help
        self.sources = sources
        self.variables = variables or (f"SALLYPORT_{name.upper().replace('-', '_')}",)
        self.kind = kind
        self.is_key = is_key

    def is_path(self, value: str) -> bool:
        """Tell whether a value is a file's name, which may be relative to where it was said."""
        return self.kind == "path" and not (self.is_key and (value == "-" or value.startswith(PKCS11)))


PROFILE = Option("profile", "NAME", "The profile in config.toml; by default the one called default.")
NO_CACHE = Option("no-cache", "", "Ask the exchange whatever is kept, and keep nothing.", kind="flag")
DEBUG = Option("debug", "", "Tell on standard error what happens; never a secret.", kind="flag")

OPTIONS = (
    Option("endpoint", "URL", "The stack's output Endpoint."),
    Option("role-arn", "ARN", "The role to have."),
    # --- azure
    Option(
        "audience",
        "URI",
        "The app registration's application ID URI, or its client id, that the trust anchor lists.",
        sources=(AZURE,),
    ),
    Option(
        "client-id",
        "ID",
        "azure: the user-assigned identity to be. cognito: the app client.",
        sources=(AZURE, COGNITO),
    ),
    Option(
        "object-id", "ID", "The user-assigned identity to be, by its principal's object id.", sources=(AZURE,)
    ),
    Option(
        "mi-res-id", "ID", "The user-assigned identity to be, by its Azure resource id.", sources=(AZURE,)
    ),
    # --- x509
    Option("trust-anchor-arn", "ARN", "As `sallyport trust show` prints it.", sources=(X509,)),
    Option("profile-arn", "ARN", "As `sallyport trust show` prints it.", sources=(X509,)),
    Option(
        "certificate",
        "FILE",
        "PEM; intermediates may stand behind it. Or its text in SALLYPORT_CERTIFICATE_PEM.",
        sources=(X509,),
        kind="path",
    ),
    Option(
        "private-key",
        "FILE|-|URI",
        "PEM; - is standard input; pkcs11:token=…;object=… is in a token. Or its text in "
        "SALLYPORT_PRIVATE_KEY_PEM.",
        sources=(X509,),
        kind="path",
        is_key=True,
    ),
    Option(
        "private-key-password-file",
        "FILE",
        "Its first line is the password of key or PKCS #12, or a token's PIN. Or "
        "SALLYPORT_PRIVATE_KEY_PASSWORD.",
        sources=(X509,),
        kind="path",
    ),
    Option(
        "pkcs11-module",
        "FILE",
        "The library of the token's maker, or p11-kit-proxy.so.",
        sources=(X509,),
        kind="path",
    ),
    Option("pkcs12", "FILE", "Certificate and key in one container.", sources=(X509,), kind="path"),
    Option(
        "intermediates",
        "FILE",
        "PEM, in any order. Not needed where the trust anchor keeps them.",
        sources=(X509,),
        kind="path",
    ),
    Option("region", "REGION", "By default the trust anchor's.", sources=(X509,)),
    # --- token-file
    Option(
        "token-file",
        "FILE",
        "The file with the token, read anew each time.",
        sources=(TOKEN_FILE,),
        variables=("SALLYPORT_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        kind="path",
    ),
    # --- cognito
    Option("token-endpoint", "URL", "The user pool's https://…/oauth2/token.", sources=(COGNITO,)),
    Option(
        "client-secret-file",
        "FILE",
        "Its first line is the app client's secret. Or SALLYPORT_CLIENT_SECRET.",
        sources=(COGNITO,),
        kind="path",
    ),
    Option("scope", "SCOPES", "Scopes to ask for, with spaces between them.", sources=(COGNITO,)),
    Option(
        "refresh-token-file",
        "FILE",
        "Be the user whose refresh token is in this file; without it the app client itself.",
        sources=(COGNITO,),
        kind="path",
    ),
    Option(
        "token-use",
        "id|access",
        "Which of a user's tokens is shown to the exchange; id by default.",
        sources=(COGNITO,),
    ),
    # --- every token
    Option(
        "trust-profile",
        "NAME",
        "The profile of the trust file; by default the first that allows it.",
        sources=_TOKENS,
    ),
    # --- everybody
    Option("session-duration", "SECONDS", "At most; the profile's by default.", kind="number"),
    Option("role-session-name", "NAME", "Where the profile accepts one."),
    Option(
        "ca-bundle",
        "FILE",
        "PEM: authorities to trust for the endpoint instead of this machine's.",
        variables=("SALLYPORT_CA_BUNDLE", "AWS_CA_BUNDLE"),
        kind="path",
    ),
)
"""What an exchange depends on: every one of them is part of the cache's key."""

SWITCHES = (PROFILE, NO_CACHE, DEBUG)
"""What says how to work, not what for."""


def options_of(source: str) -> tuple[Option, ...]:
    """Return the settings that a source knows."""
    return tuple(one for one in OPTIONS if source in one.sources)
