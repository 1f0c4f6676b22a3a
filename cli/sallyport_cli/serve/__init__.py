"""Credentials over HTTP for programs on this machine, as AWS's own endpoints hand them out."""
