"""The error that every construct of this package raises for a prop it refuses."""


class PropError(ValueError):
    """A prop that AWS would refuse much later. The message says what was wrong, what was given and what is allowed."""
