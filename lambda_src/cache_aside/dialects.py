"""The outbox's tables in the words of each database; times are UTC and the database's own."""

from collections.abc import Mapping
from typing import Literal

import msgspec

Dialect = Literal["postgresql", "mysql", "sqlite"]


class Sql(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between databases. Names in braces are filled in by `SqlOutbox`; `%s` is a parameter."""

    key: str
    """The column `key`, quoted: a reserved word in MySQL."""
    now: str
    later: str
    """The time in so many seconds, given as a parameter. Constant during a statement, so that an index can find it."""
    returning: bool
    """Whether INSERT can return ids; where it cannot, `cursor.lastrowid` can."""
    insert_server: str
    schema: tuple[str, ...]
    paramstyle: str = "format"
    most_characters: int | None = None
    """Of a key: without strict mode the column cuts longer ones. None: no limit."""


_INDEX = "CREATE INDEX IF NOT EXISTS {index} ON {table} (delivered_at, id)"
# For both questions of a relay: what is not delivered yet (NULL), oldest first; and what has been so for long.

_POSTGRESQL = Sql(
    key='"key"',
    now="statement_timestamp()",
    later="statement_timestamp() + %s * interval '1 second'",
    returning=True,
    insert_server="INSERT INTO {servers} (replication_id) VALUES (%s) ON CONFLICT DO NOTHING",
    schema=(
        """\
CREATE TABLE IF NOT EXISTS {table} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    {key} text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz
)""",
        _INDEX,
        """\
CREATE TABLE IF NOT EXISTS {servers} (
    replication_id text PRIMARY KEY,
    replayed_at timestamptz NOT NULL DEFAULT clock_timestamp()
)""",
    ),
)

_MYSQL = Sql(
    key="`key`",
    most_characters=255,
    now="UTC_TIMESTAMP(6)",
    later="UTC_TIMESTAMP(6) + INTERVAL %s SECOND",
    returning=False,
    insert_server="INSERT IGNORE INTO {servers} (replication_id) VALUES (%s)",
    schema=(
        """\
CREATE TABLE IF NOT EXISTS {table} (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    {key} varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_at datetime(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
    delivered_at datetime(6),
    attempts integer NOT NULL DEFAULT 0,
    retry_at datetime(6),
    INDEX {index} (delivered_at, id)
)""",
        """\
CREATE TABLE IF NOT EXISTS {servers} (
    replication_id varchar(64) PRIMARY KEY,
    replayed_at datetime(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
)""",
    ),
)

_SQLITE = Sql(
    key='"key"',
    now="datetime('now')",
    later="datetime('now', %s || ' seconds')",
    returning=True,
    insert_server="INSERT INTO {servers} (replication_id) VALUES (%s) ON CONFLICT DO NOTHING",
    paramstyle="qmark",
    schema=(
        """\
CREATE TABLE IF NOT EXISTS {table} (
    id integer PRIMARY KEY AUTOINCREMENT,
    {key} text NOT NULL,
    created_at text NOT NULL DEFAULT CURRENT_TIMESTAMP,
    delivered_at text,
    attempts integer NOT NULL DEFAULT 0,
    retry_at text
)""",
        _INDEX,
        """\
CREATE TABLE IF NOT EXISTS {servers} (
    replication_id text PRIMARY KEY,
    replayed_at text NOT NULL DEFAULT CURRENT_TIMESTAMP
)""",
    ),
)

DIALECTS: Mapping[str, Sql] = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "sqlite": _SQLITE}
