"""Any issuer that keeps to OpenID Connect: GitLab, Kubernetes, Google, Auth0, Okta and others."""

from sallyport.proof.dialects.rules import Rules

_KEY_HOSTS = {
    # Google's issuer publishes its keys under another of Google's names.
    "https://accounts.google.com": frozenset({"www.googleapis.com"}),
}


def _key_hosts(issuer: str) -> frozenset[str]:
    return _KEY_HOSTS.get(issuer, frozenset())


RULES = Rules(key_hosts=_key_hosts)
