"""The table `users`, and what a change of a user does to `sessions`."""

from collections.abc import Callable
from typing import LiteralString, NamedTuple, TypeVar

from cache_aside import Dialect, OutboxRow
from storefront.database import Connection, Database
from storefront.entities import Role, Session
from storefront.errors import NotLoggedInError
from storefront.policies import session_key
from storefront.repositories.outbox import record

T = TypeVar("T")
_NO_SESSION = b""
# Nobody may change the rows until the transaction ends. MariaDB knows the older spelling only.
_SHARED: dict[Dialect, LiteralString] = {"postgresql": "FOR SHARE", "mysql": "LOCK IN SHARE MODE"}


def on_behalf_of(session: Session, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """`work`, for a transaction in which the session is there and its user has its role; else NotLoggedInError.

    Sessions are cached. A read may rely on that, but a write asks the database: the lock makes whoever takes the role
    away, or ends the session, wait for this transaction, or this one see that it is gone.
    """

    def checked(connection: Connection) -> T:
        select = "SELECT role FROM users WHERE id = %(id)s"
        held = connection.rows(f"{select} {_SHARED[connection.dialect]}", {"id": session.user_id})
        if held != [(session.role.value,)]:
            raise NotLoggedInError(session.username)
        _check(connection, session)
        return work(connection)

    return checked


def _check(connection: Connection, session: Session) -> None:
    """NotLoggedInError when the session has ended. The transaction has locked the user's row."""
    # A statement of its own: it sees what was committed while the lock was waited for.
    select = "SELECT 1 FROM sessions WHERE token_hash = %(hash)s AND user_id = %(id)s"
    if not connection.rows(select, {"hash": session.token_hash, "id": session.user_id}):
        raise NotLoggedInError(session.username)


class RoleChange(NamedTuple):
    """The role that the user had before, None: disabled, and what the end of their sessions made obsolete."""

    previous: Role | None
    obsolete: list[OutboxRow]


class UserRepository:
    """Reads and writes users. Their names are in lower case. A user without a role can do nothing, not even log in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, username: str, password_hash: str, role: Role, *, by: Session) -> None:
        """A new user. DuplicateError when the name is taken; NotLoggedInError."""
        statement = "INSERT INTO users (username, password_hash, role) VALUES (%(username)s, %(hash)s, %(role)s)"
        values = {"username": username, "hash": password_hash, "role": role.value}
        self._database.transact(on_behalf_of(by, lambda connection: connection.change(statement, values)))

    def find_password_hash(self, *, by: Session) -> str | None:
        """The hash of the session's user; None when the session has ended, or the user or their role is gone."""
        statement = """
            SELECT password_hash FROM sessions JOIN users ON users.id = user_id
            WHERE token_hash = %(hash)s AND user_id = %(id)s AND role = %(role)s"""
        rows = self._database.read(statement, {"hash": by.token_hash, "id": by.user_id, "role": by.role.value})
        return str(rows[0][0]) if rows else None

    def change_password(self, old_hash: str, new_hash: str, *, by: Session) -> list[OutboxRow] | None:
        """What the end of all the user's other sessions made obsolete; None when the hash was not `old_hash`.

        NotLoggedInError.
        """

        def work(connection: Connection) -> list[OutboxRow] | None:
            values = {"id": by.user_id, "role": by.role.value, "old": old_hash, "new": new_hash}
            statement = """
                UPDATE users SET password_hash = %(new)s
                WHERE id = %(id)s AND password_hash = %(old)s AND role = %(role)s"""
            if not connection.change(statement, values):
                return None
            _check(connection, by)
            return _end_sessions(connection, by.user_id, keep=by.token_hash)

        return self._database.transact(work)

    def set_role(self, username: str, role: Role | None, *, by: Session) -> RoleChange | None:
        """The change, which ends all the user's sessions; None when there is no such user. NotLoggedInError.

        A role that the user has already ends nothing.
        """

        def work(connection: Connection) -> RoleChange | None:
            values = {"username": username, "role": role and role.value}
            rows = connection.rows("SELECT id, role FROM users WHERE username = %(username)s FOR UPDATE", values)
            if not rows:
                return None
            user_id, held = rows[0]
            previous = Role(held) if held else None
            if previous is role:
                return RoleChange(previous, [])
            connection.change("UPDATE users SET role = %(role)s WHERE username = %(username)s", values)
            return RoleChange(previous, _end_sessions(connection, user_id, keep=_NO_SESSION))

        def in_order(connection: Connection) -> RoleChange | None:
            # Both rows, by id: two operators who take each other's role away wait for each other and do not deadlock.
            both = "SELECT id FROM users WHERE id = %(id)s OR username = %(username)s ORDER BY id FOR UPDATE"
            connection.rows(both, {"id": by.user_id, "username": username})
            return on_behalf_of(by, work)(connection)

        return self._database.transact(in_order)


def _end_sessions(connection: Connection, user_id: int, *, keep: bytes) -> list[OutboxRow]:
    """Deletes the user's sessions but one, and records the key of each: one write that makes many keys obsolete.

    The transaction has locked the user's row, as logging in does, so that no session is added meanwhile.
    """
    values = {"id": user_id, "keep": keep}
    others = "SELECT token_hash FROM sessions WHERE user_id = %(id)s AND token_hash <> %(keep)s"
    hashes = [bytes(row[0]) for row in connection.rows(others, values)]
    connection.change("DELETE FROM sessions WHERE user_id = %(id)s AND token_hash <> %(keep)s", values)
    return record(connection, *(session_key(token_hash) for token_hash in hashes))
