"""Sallyport: outside identities in, short-lived AWS credentials out."""
