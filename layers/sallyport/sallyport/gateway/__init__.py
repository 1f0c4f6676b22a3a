"""One module per protocol: requests in, answers out, errors in the words of each."""
