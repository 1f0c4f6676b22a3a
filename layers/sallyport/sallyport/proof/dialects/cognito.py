"""Amazon Cognito user pools.

An ID token names its app client in ``aud``, an access token in ``client_id``; ``token_use`` says
which of the two it is. An access token may also carry ``aud`` (a version 3 trigger can add it), and
then both must be listed.
"""

from sallyport.model import Claims
from sallyport.proof.dialects.rules import Rules, standard_audiences
from sallyport.proof.reasons import refusal, shown


def _audiences(claims: Claims) -> tuple[str, ...]:
    use, client = claims.get("token_use"), claims.get("client_id")
    if use == "id":
        return standard_audiences(claims)
    if use != "access":
        raise refusal("token-use-missing", f"token_use is {shown(use)}")
    if client is None or client == "":
        raise refusal("audience-missing", "An access token names its client in client_id.")
    if not isinstance(client, str):
        raise refusal("audience-malformed", f"client_id is {shown(client)}")
    return (client, *(standard_audiences(claims) if "aud" in claims else ()))


RULES = Rules(audiences=_audiences)
