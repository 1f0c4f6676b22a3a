"""The local cloud: everything of the project on one machine, without an account and without Docker."""
