"""Runs the revisions in versions/ that the database does not have yet.

Revisions only ever expand: add a table, a nullable column, a column with a default, an index; let a column be NULL. The
release before this one keeps running on the new schema while a deployment is under way and after one was rolled back,
so nothing it uses is renamed, narrowed or dropped. A released revision never changes: databases that have it would not
get the change.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_DIRECTORY = Path(__file__).parent


def upgrade(connection: Connection) -> str:
    """Brings the schema to the newest revision, in the caller's transaction; returns the one it then has.

    A revision that this release does not know is of a newer one, whose deployment was rolled back. Its schema serves
    this release too, so it is left alone.
    """
    config = Config()
    config.set_main_option("script_location", str(_DIRECTORY).replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        return current
    command.upgrade(config, "head")
    return str(scripts.get_current_head())
