"""The table `users`, and what a new password does to `sessions`."""

from cache_aside import OutboxRow
from storefront.database import Connection, Database
from storefront.entities import Role
from storefront.policies import session_key
from storefront.repositories.outbox import record


class UserRepository:
    """Reads and writes users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, username: str, password_hash: str, role: Role) -> None:
        """A new user. DuplicateError when the name is taken."""
        statement = "INSERT INTO users (username, password_hash, role) VALUES (%(username)s, %(hash)s, %(role)s)"
        self._database.write(statement, {"username": username, "hash": password_hash, "role": role.value})

    def find_password_hash(self, user_id: int) -> str | None:
        """The hash of the user's password; None when there is no such user any more."""
        rows = self._database.read("SELECT password_hash FROM users WHERE id = %(id)s", {"id": user_id})
        return str(rows[0][0]) if rows else None

    def change_password(self, user_id: int, old_hash: str, new_hash: str, *, keep: bytes) -> list[OutboxRow] | None:
        """What the end of all the user's sessions but `keep` made obsolete; None when the hash was not `old_hash`."""

        def work(connection: Connection) -> list[OutboxRow] | None:
            values = {"id": user_id, "old": old_hash, "new": new_hash, "keep": keep}
            statement = "UPDATE users SET password_hash = %(new)s WHERE id = %(id)s AND password_hash = %(old)s"
            if not connection.change(statement, values):
                return None
            # Nobody can log in meanwhile: that takes the lock on the user, too.
            others = "SELECT token_hash FROM sessions WHERE user_id = %(id)s AND token_hash <> %(keep)s"
            hashes = [bytes(row[0]) for row in connection.rows(others, values)]
            connection.change("DELETE FROM sessions WHERE user_id = %(id)s AND token_hash <> %(keep)s", values)
            return record(connection, *(session_key(token_hash) for token_hash in hashes))

        return self._database.transact(work)
