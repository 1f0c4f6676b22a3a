"""Pure verification of proofs: bytes, keys and the time in; an identity or an error out."""
