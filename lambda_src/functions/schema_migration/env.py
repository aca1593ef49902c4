"""What alembic runs to run the revisions: on the connection, and in the transaction, of `revisions.upgrade`."""

from alembic import context

import functions.schema_migration.repeatable  # noqa: F401  # what it registers

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
