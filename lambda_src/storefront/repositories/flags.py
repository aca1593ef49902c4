"""The table `flags`. Deployments declare flags; the app changes those that there are."""

from cache_aside import OutboxRow
from storefront.database import Connection, Database
from storefront.entities import Flag, Session
from storefront.policies import flag_key
from storefront.repositories.outbox import record
from storefront.repositories.users import on_behalf_of


class FlagRepository:
    """Reads and changes flags."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str) -> Flag | None:
        """The flag, or None."""
        statement = "SELECT name, enabled, rollout_percent FROM flags WHERE name = %(name)s"
        rows = self._database.read(statement, {"name": name})
        return next((Flag(name, bool(enabled), percent) for name, enabled, percent in rows), None)

    def update(self, flag: Flag, *, by: Session) -> list[OutboxRow] | None:
        """What the change made obsolete, recorded in its transaction; None when there is no flag of that name.

        NotLoggedInError.
        """

        def work(connection: Connection) -> list[OutboxRow] | None:
            statement = """
                UPDATE flags SET enabled = %(enabled)s, rollout_percent = %(percent)s WHERE name = %(name)s"""
            values = {"name": flag.name, "enabled": flag.enabled, "percent": flag.rollout_percent}
            return record(connection, flag_key(flag.name)) if connection.change(statement, values) else None

        return self._database.transact(on_behalf_of(by, work))
