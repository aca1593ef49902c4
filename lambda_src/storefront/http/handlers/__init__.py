"""One function an operation: calls a service and words its answer."""
