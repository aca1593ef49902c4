"""Feature flags."""

from typing import Annotated

import msgspec
from msgspec import Meta

Percent = Annotated[int, Meta(ge=0, le=100)]


class FlagInput(msgspec.Struct):
    """Whether a feature is on, and for how many of its users. Other members are ignored."""

    enabled: bool
    rollout_percent: Percent


class FlagOutput(msgspec.Struct):
    """A flag as a client reads it. Everybody may: what a flag is called is no secret."""

    name: str
    enabled: bool
    rollout_percent: Percent
