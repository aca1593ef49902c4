"""HTTP and nothing else: one table of operations, from which routing, validation and the OpenAPI document follow."""
