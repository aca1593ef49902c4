"""The steps, each of which can be repeated after a crash at any point of any of them.

What was done is asked of those who know: of the cache, which tokens it takes; of the secret's labels, which version is
what. See docs/decisions/token-rotation.md.
"""

import time
from collections.abc import Callable

from functions.auth_token_rotation.errors import GroupBusyError, RotationError
from functions.auth_token_rotation.group import ReplicationGroup
from functions.auth_token_rotation.secret import CURRENT, DRAINING_SINCE, PENDING, PREVIOUS, TWO_TOKENS, Labels, Secret


class Rotation:
    """Rotation of one secret.

    `accepts` says whether the cache takes a token. `drain_seconds` is for how long at least the token before works on
    after AWSCURRENT has moved. `clock` is Unix time. Every step raises RotationError where it has to be repeated.
    """

    def __init__(
        self,
        secret: Secret,
        group: ReplicationGroup,
        accepts: Callable[[str], bool],
        *,
        drain_seconds: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secret, self._group, self._accepts = secret, group, accepts
        self._drain_seconds = drain_seconds
        self._clock = clock

    def create_secret(self, version: str) -> None:
        """The pending version has a token."""
        if self._secret.token(version) is None:
            self._secret.generate(version)

    def set_secret(self, version: str, labels: Labels, deadline: float) -> None:
        """The cache is told to take the pending token beside AWSCURRENT's.

        Two tokens work at most. What an earlier rotation left is therefore ended first: a ROTATE on top of it would
        remove the oldest, which may be AWSCURRENT's.
        """
        token = self._pending_token(version)
        self._group.wait_available(deadline)
        if self._accepts(token):
            return
        holder = labels.holder(TWO_TOKENS)
        if holder not in (None, version):
            self._end_overlap(labels, deadline)
        if holder != version:
            self._secret.attach(TWO_TOKENS, version)
        self._group.add_token(token)

    def test_secret(self, version: str, labels: Labels, deadline: float) -> None:
        """The group has finished and the cache takes the pending token.

        A version that was never set is Secrets Manager's trial of a new schedule (API reference, RotateSecret,
        RotateImmediately): then it is AWSCURRENT's token that the cache has to take. finishSecret trusts neither.
        """
        self._group.wait_available(deadline)
        if labels.holder(TWO_TOKENS) == version:
            self._require(self._pending_token(version), PENDING)
        else:
            self._require_current(labels)

    def finish_secret(self, version: str, labels: Labels) -> None:
        """AWSCURRENT is the pending version, and it is noted since when, so that `settle` knows when to send SET."""
        current = labels.holder(CURRENT)
        if current != version:
            self._require(self._pending_token(version), PENDING)
            self._secret.attach(CURRENT, version, holder=current)
        if labels.holder(TWO_TOKENS) == version and not labels.drains(version):
            self._begin_drain(version)

    def settle(self, deadline: float) -> str:
        """Sends SET when it is due; returns how things stand: settled, rotating, draining, or waiting for the group."""
        labels = self._secret.labels()
        holder = labels.holder(TWO_TOKENS)
        if holder is None:
            return "settled"
        if holder == labels.holder(PENDING) and holder != labels.holder(CURRENT):
            return "rotating"
        since = labels.draining_since(holder)
        if since is None:  # lost between two calls of finishSecret
            self._begin_drain(holder)
            return "draining"
        if self._clock() - since < self._drain_seconds:
            return "draining"
        try:
            self._group.wait_available(deadline)
            self._end_overlap(labels, deadline)
        except GroupBusyError:
            return "waiting"
        return "settled"

    def _begin_drain(self, version: str) -> None:
        self._secret.attach(f"{DRAINING_SINCE}{int(self._clock())}", version)

    def _end_overlap(self, labels: Labels, deadline: float) -> None:
        """The cache takes AWSCURRENT's token only, whatever it took before, and no label says otherwise any more."""
        holder = labels.holder(TWO_TOKENS)
        other = labels.holder(PREVIOUS) if holder == labels.holder(CURRENT) else holder
        if holder is None or other is None:
            raise RotationError("the labels of the secret were changed by hand: see docs/rotation.md")
        unwanted = self._secret.token(other)
        if unwanted is not None and self._accepts(unwanted):
            self._group.keep_only(self._require_current(labels))
            self._group.wait_available(deadline)
            if self._accepts(unwanted):
                raise RotationError("the cache still takes the token that SET was to remove")
        # In this order: were TWO_TOKENS the first to go, a crash would leave the others for ever.
        for label in (*labels.drains(holder), TWO_TOKENS):
            self._secret.detach(label, holder)

    def _pending_token(self, version: str) -> str:
        token = self._secret.token(version)
        if token is None:
            raise RotationError("the pending version has no token: createSecret has to come first")
        return token

    def _require_current(self, labels: Labels) -> str:
        current = labels.holder(CURRENT)
        token = self._secret.token(current) if current else None
        if token is None:
            raise RotationError(f"the secret has no {CURRENT} version")
        self._require(token, CURRENT)
        return token

    def _require(self, token: str, label: str) -> None:
        if not self._accepts(token):
            raise RotationError(f"the cache refuses the token of {label}")
