"""`cache_aside`'s outbox in the app's database: the tables `cache_invalidations` and `replayed_servers`."""

from cache_aside import OutboxRow, SqlOutbox
from storefront.database import Connection, Database
from storefront.engines import Engine


def outbox_of(database: Database, engine: Engine) -> SqlOutbox:
    """What the relay reads, and what marks rows."""
    return SqlOutbox(database.cursor, dialect="mysql" if engine == "mysql" else "postgresql")


def record(connection: Connection, *keys: str) -> list[OutboxRow]:
    """The rows for keys that this connection's transaction makes obsolete: they commit with the change or never."""
    with connection.cursor() as cursor:
        return SqlOutbox(connection.cursor, dialect=connection.dialect).record(cursor, keys)
