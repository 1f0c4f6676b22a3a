"""Credentials for workloads: who asks, what for, the exchange and the cache between processes.

What a cached call needs (``options``, ``fast``, ``config``, ``settings``, ``marks``, ``files``)
imports next to nothing: a program that prints a file must not wait for libraries that it does not use.
"""
