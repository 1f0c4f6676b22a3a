"""The ``sallyport`` command."""
