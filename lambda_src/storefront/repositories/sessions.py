"""The tables `users` and `sessions`, and the secrets of cached sessions in `seal_secrets`."""

from datetime import UTC, datetime
from typing import NamedTuple

from cache_aside import OutboxRow
from storefront.database import Connection, Database
from storefront.entities import Role, Session
from storefront.policies import session_key
from storefront.repositories.outbox import record


class Account(NamedTuple):
    """A user as needed to log in."""

    id: int
    password_hash: str
    role: Role


class SessionRepository:
    """Reads users, reads and writes sessions. A session is known by the hash of its token only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_account(self, username: str) -> Account | None:
        """The user of that name who may log in, or None."""
        statement = "SELECT id, password_hash, role FROM users WHERE username = %(username)s AND role IS NOT NULL"
        rows = self._database.read(statement, {"username": username})
        return Account(rows[0][0], rows[0][1], Role(rows[0][2])) if rows else None

    def insert(self, token_hash: bytes, account: Account, expires_at: datetime, *, now: datetime) -> bool:
        """A new session; the user's expired ones go at the same time, so that they do not pile up.

        False, and no session, when password or role are not the account's any more: whoever changed them has ended all
        sessions, and this one would begin after that.
        """
        parameters = {"hash": token_hash, "user_id": account.id, "expires_at": expires_at, "now": now}
        verified = {"id": account.id, "password_hash": account.password_hash, "role": account.role.value}

        def work(connection: Connection) -> bool:
            lock = """
                SELECT 1 FROM users
                WHERE id = %(id)s AND password_hash = %(password_hash)s AND role = %(role)s FOR UPDATE"""
            if not connection.rows(lock, verified):
                return False
            connection.change("DELETE FROM sessions WHERE user_id = %(user_id)s AND expires_at <= %(now)s", parameters)
            statement = """
                INSERT INTO sessions (token_hash, user_id, expires_at)
                VALUES (%(hash)s, %(user_id)s, %(expires_at)s)"""
            connection.change(statement, parameters)
            return True

        return self._database.transact(work)

    def seal_secrets(self) -> list[bytes]:
        """The secret of `Seals` and, after a rotation, the one before. The migration function makes them."""
        return [
            bytes(row[0]) for row in self._database.read("SELECT secret FROM seal_secrets ORDER BY id DESC LIMIT 2")
        ]

    def find(self, token_hash: bytes, *, now: datetime) -> Session | None:
        """The session, or None when there is none that lasts beyond `now`."""
        statement = """
            SELECT user_id, username, role, expires_at FROM sessions JOIN users ON users.id = user_id
            WHERE token_hash = %(hash)s AND expires_at > %(now)s AND role IS NOT NULL"""
        rows = self._database.read(statement, {"hash": token_hash, "now": now})
        found = (Session(user, name, Role(role), at.replace(tzinfo=UTC), token_hash) for user, name, role, at in rows)
        return next(found, None)

    def delete(self, token_hash: bytes) -> list[OutboxRow] | None:
        """Ends the session and records its key in the outbox, in one transaction. None when there is no session."""
        values = {"hash": token_hash}

        def work(connection: Connection) -> list[OutboxRow] | None:
            # Waits for the writes of this user that have found the session: see `on_behalf_of`.
            users = (
                "SELECT 1 FROM users WHERE id = (SELECT user_id FROM sessions WHERE token_hash = %(hash)s) FOR UPDATE"
            )
            connection.rows(users, values)
            if not connection.change("DELETE FROM sessions WHERE token_hash = %(hash)s", values):
                return None
            return record(connection, session_key(token_hash))

        return self._database.transact(work)
