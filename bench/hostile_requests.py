"""The dearest signed requests that anybody can send: what refusing them costs, and what bounds it.

Two kinds of sender. A stranger has keys and certificates of his own making, and no way to the anchor.
An authority below the anchor could let itself in by the front door, and can cost more: its certificates
lead there, so that signatures on many paths are verified before all of them turn out to be of no use.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations_with_replacement, product

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from bench.certificates import verify_one
from bench.hostile import cpu
from bench.table import Row
from sallyport.errors import ProofError, RequestError
from sallyport.proof.canonical import MAX_HEADERS_CHARS
from sallyport.proof.certificates import MAX_RSA_BITS, MAX_RSA_EXPONENT_BITS
from sallyport.proof.x509 import MAX_CHAIN, MAX_PATHS
from tests.support import pki

BUDGET_MS = 50.0
"""A twentieth of a second of one core for one request, whoever sends it."""

GATEWAY_BYTES = 10_240
"""API Gateway's limit for the request line and all headers; other ways in let more through."""

EXCLUDED = (x509.NameConstraints(None, [x509.DNSName("example.com")]), True)
"""Constraints of which a path builder hears at the end of each path."""


def measure() -> list[Row]:
    """Return the dearest refusals, with what fits through API Gateway and with anything."""
    costs: dict[str, tuple[float, int]] = {}
    for name, one in requests():
        costs[name] = (_cost(one), _header_bytes(one))
    fitting = {name: cost for name, (cost, size) in costs.items() if size <= GATEWAY_BYTES}
    every = {name: cost for name, (cost, _) in costs.items()}
    return [
        _row("refusing, 10 KB of headers", fitting, "what API Gateway lets through"),
        _row("refusing, 64 KB of headers", every, f"{len(every)} kinds tried"),
        _bound("bound by computation, 10 KB", GATEWAY_BYTES),
        _bound("bound by computation, 64 KB", MAX_HEADERS_CHARS),
    ]


def _row(what: str, costs: dict[str, float], note: str) -> Row:
    worst = max(costs, key=costs.__getitem__)
    return Row(
        what,
        budget="reported",
        measured=f"{costs[worst] * 1e3:.1f} ms",
        note=f"{worst}; {note}",
    )


def _bound(what: str, limit: int) -> Row:
    """Return the most verifications that one request can cause times what one takes, for the dearest key."""
    bounds = {
        name: most_signatures(_room(key, limit)) * _dearest(key) * 1e3
        for name, key in (("P-521", pki.key("p-521")), (_LARGEST, largest_key()))
    }
    worst = max(bounds, key=bounds.__getitem__)
    return Row(
        what,
        budget=f"≤ {BUDGET_MS:g} ms",
        measured=f"{bounds[worst]:.0f} ms",
        met=bounds[worst] <= BUDGET_MS,
        note="; ".join(f"{name}: {bound:.0f} ms" for name, bound in bounds.items()),
    )


# --- what bounds it ----------------------------------------------------------------------------------


def most_signatures(bag: int) -> int:
    """Return how many signatures a request can cause to be verified that brings so many authorities."""
    return most_readings() + most_pairs(bag) + most_tries(bag)


def most_readings() -> int:
    """Return how often a request's signature is verified: with each path, host with and without port."""
    return 2 * (1 + MAX_PATHS)


def most_pairs(bag: int, known: int = 1) -> int:
    """Return how many signatures are verified to see who issued whom: each pair once.

    Args:
        bag: the certificates in the bag.
        known: the anchor's own certificates that have the name of one in the bag.
    """
    return (1 + bag) * known + bag + bag * (bag - 1)


@cache
def most_tries(bag: int, known: int = 1) -> int:
    """Return how many signatures the path builder verifies at the most, over all the ways that it is given.

    This looks at each manner of spreading the bag's certificates and their issuers over keys, all under one
    name. On each way, every certificate is tried at every step.
    """
    worst = known
    for keys in range(1, bag + 1):
        # Keys are 0, 1, …; -1 is the anchor's.
        kinds = product(range(keys), range(-1, keys))
        for spread in combinations_with_replacement(kinds, bag):
            if len({key for key, _ in spread}) == keys:
                lengths = _lengths(spread, 0, frozenset())
                worst = max(worst, sum((length + 1) * (length + known) for length in lengths))
    return worst


def _lengths(bag: Sequence[tuple[int, int]], wanted: int, seen: frozenset[int]) -> list[int]:
    """Return the lengths of the ways from who wants this key as issuer to the anchor, no key twice."""
    if wanted < 0:
        return [len(seen)]
    if wanted in seen:
        return []
    return [one for key, issuer in bag if key == wanted for one in _lengths(bag, issuer, seen | {key})]


def _certificate(key: pki.Key) -> x509.Certificate:
    one = pki.name("a")
    extensions = pki.AUTHORITY_EXTENSIONS
    return pki.certificate(
        subject=one, public=key.public_key(), issuer=one, signer=key, extensions=extensions
    )


def _room(key: pki.Key, limit: int) -> int:
    """Return how many authorities with such a key fit beside a leaf with one."""
    one = len(pki.b64(_certificate(key).public_bytes(Encoding.DER)))
    return max(0, min(MAX_CHAIN, limit // one - 1))


def _dearest(key: pki.Key) -> float:
    data = bytes(1_000)
    signature, certificate = pki.sign(key, data), _certificate(key)
    # The key is read anew each time, as the path builder does.
    return cpu(lambda: verify_one(certificate.public_key(), signature, data))


_LARGEST = f"RSA-{MAX_RSA_BITS}, exponent of {MAX_RSA_EXPONENT_BITS} bits"


@cache
def largest_key() -> rsa.RSAPrivateKey:
    """Return the RSA key that takes longest to verify with, of those that are accepted."""
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=MAX_RSA_BITS).private_numbers()
    order = (numbers.p - 1) * (numbers.q - 1)
    exponent = (1 << MAX_RSA_EXPONENT_BITS) - 1
    while True:
        try:
            private = pow(exponent, -1, order)
            break
        except ValueError:
            exponent -= 2
    return rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=private,
        dmp1=rsa.rsa_crt_dmp1(private, numbers.p),
        dmq1=rsa.rsa_crt_dmq1(private, numbers.q),
        iqmp=numbers.iqmp,
        public_numbers=rsa.RSAPublicNumbers(exponent, numbers.public_numbers.n),
    ).private_key()


# --- what is sent --------------------------------------------------------------------------------------


def requests() -> Iterator[tuple[str, pki.Presentation]]:
    """Yield requests that are refused, each dear for another reason."""
    kinds: dict[str, Callable[[], pki.Key]] = {
        "P-521": lambda: pki.key("p-521"),
        "ML-DSA-87": lambda: pki.key("ml-dsa-87"),
        _LARGEST: largest_key,
    }
    for name, make in kinds.items():
        key = make()
        yield f"{name}, signature of something else", _nothing_signed(key)
        for label, pattern in _PATTERNS.items():
            for count in (2, MAX_CHAIN):
                yield f"{name}, {count} authorities of one name, {label}", _crowd(key, pattern[:count])
    yield "leaf of 16 KB, host names", _names_of(x509.DNSName("a"), 3_200)
    yield "leaf of 16 KB, directory names", _names_of(x509.DirectoryName(pki.name("a")), 900)
    yield "subject of 1,000 parts", _long_subject()
    yield "constraints on 1,000 names, 95 host names", _constrained()
    yield "five of 16 KB, in the bag", _large_bag()
    yield "header of spaces", pki.signed(_stray(), headers={"x-spaces": "a  " * 15_000})
    yield "30 parameters to encode", _parameters()
    yield "body of brackets", pki.signed(_stray(), content=b'{"a":"' + b"[" * 130_000 + b'"}')
    yield "body of escapes", pki.signed(_stray(), content=b'{"a":"' + b"\\u0061" * 20_000 + b'"}')


# Subject's key and issuer's key of each authority; 0 signed the leaf, and the anchor signed the first.
_PATTERNS: dict[str, Sequence[tuple[int, int]]] = {
    "one key": ((0, -1), (0, 0), (0, 0), (0, 0), (0, 0)),
    "two keys": ((1, -1), (0, 1), (1, -1), (0, 1), (0, 1)),
    "three keys": ((2, -1), (0, 1), (1, 2), (0, 1), (1, 2)),
}


def _crowd(key: pki.Key, pattern: Sequence[tuple[int, int]]) -> pki.Presentation:
    """Return a request below authorities that share a name, are the anchor's indeed and may name nobody."""
    # One key does for the dear ones: what is tried in vain costs the same with another.
    keys = [key, *(_like(key, number) for number in (1, 2))]
    crowd = [
        pki.certificate(
            subject=pki.name("Crowd"),
            public=keys[own].public_key(),
            issuer=pki.name("Root" if by < 0 else "Crowd"),
            signer=pki.root().key if by < 0 else keys[by],
            extensions=[*pki.AUTHORITY_EXTENSIONS, EXCLUDED],
        )
        for own, by in pattern
    ]
    leaf = pki.certificate(
        subject=pki.name("a"),
        public=key.public_key(),
        issuer=pki.name("Crowd"),
        signer=key,
        extensions=pki.LEAF_EXTENSIONS,
    )
    chain = [pki.Holder(one, None) for one in crowd]
    # The last of the readings is the one that was signed.
    paths = tuple(f"/{number}" for number in range(MAX_PATHS))
    return pki.signed(pki.Holder(leaf, key), chain=chain, uri=paths[-1], paths=paths)


@cache
def _like(key: pki.Key, number: int) -> pki.Key:
    """Return another key of the same kind; for the largest RSA key a smaller one, which is made sooner."""
    if isinstance(key, rsa.RSAPrivateKey):
        return pki.key("rsa-4096", f"crowd {number}")
    kind = next(kind for kind in ("p-521", "ml-dsa-87") if isinstance(key, type(pki.key(kind))))
    return pki.key(kind, f"crowd {number}")


def _nothing_signed(key: pki.Key) -> pki.Presentation:
    leaf = pki.certificate(
        subject=pki.name("a"),
        public=key.public_key(),
        issuer=pki.name("Root"),
        signer=pki.key(),
        extensions=pki.LEAF_EXTENSIONS,
    )
    paths = tuple(f"/{number}" for number in range(MAX_PATHS))
    host = {"host": f"{pki.HOST}:443"}
    return pki.signed(pki.Holder(leaf, key), uri="/other", paths=paths, headers=host)


def _stray() -> pki.Holder:
    return pki.leaf(pki.stranger())


def _names_of(one: x509.GeneralName, count: int) -> pki.Presentation:
    names = x509.SubjectAlternativeName([one] * count)
    return pki.signed(pki.leaf(pki.stranger(), (names, False)))


def _long_subject() -> pki.Presentation:
    return pki.signed(pki.leaf(pki.stranger(), subject=pki.name(*["a"] * 1_000)))


def _constrained() -> pki.Presentation:
    subtrees = [x509.DNSName(f"{number}.a") for number in range(500)]
    loud = pki.authority("Loud", pki.root(), (x509.NameConstraints(subtrees, subtrees), True))
    hosts = x509.SubjectAlternativeName([x509.DNSName(f"{number}.b") for number in range(95)])
    return pki.signed(pki.leaf(loud, (hosts, False)), chain=[loud])


def _large_bag() -> pki.Presentation:
    names = x509.SubjectAlternativeName([x509.DNSName("a")] * 2_900)
    return pki.signed(_stray(), chain=[pki.authority("Crowd", None, (names, False)) for _ in range(4)])


def _parameters() -> pki.Presentation:
    query = [*pki.QUERY, *((f"q{number}", "ü" * 4_000) for number in range(29))]
    return pki.signed(_stray(), query=query)


def _header_bytes(one: pki.Presentation) -> int:
    headers = sum(len(name) + 4 + len(value) for name, (value,) in one.request.headers.items())
    return headers + sum(len(name) + len(value) for name, (value,) in one.request.query.items())


def _cost(one: pki.Presentation) -> float:
    def refused() -> None:
        try:
            one.verify()
        except (ProofError, RequestError):
            return
        raise AssertionError("a hostile request was accepted")

    return cpu(refused)
