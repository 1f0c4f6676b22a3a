"""The only place that knows everybody: builds each function's use case."""
