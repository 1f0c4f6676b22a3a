"""The only place for AWS calls and sockets. Adapters translate; they decide nothing."""
