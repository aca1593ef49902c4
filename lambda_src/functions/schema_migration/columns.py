"""Column types of the revisions where the engines need different ones. PostgreSQL's is the first of each."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
"""In UTC, to the microsecond."""

TOKEN_HASH = sa.LargeBinary().with_variant(mysql.BINARY(32), "mysql")
"""32 bytes."""


def key(length: int) -> sa.types.TypeEngine[str]:
    """Text that an index holds, which MySQL bounds: this many characters there."""
    return sa.Text().with_variant(sa.String(length), "mysql")


class Now(sa.ColumnElement[Any]):
    """The time at which the row is written, as a default."""

    inherit_cache = True


@compiles(Now)
def _now(_element: Now, _compiler: SQLCompiler, **_options: object) -> str:
    return "clock_timestamp()"


@compiles(Now, "mysql")
def _now_on_mysql(_element: Now, _compiler: SQLCompiler, **_options: object) -> str:
    return "CURRENT_TIMESTAMP(6)"
