"""Makes the operations of the revisions repeatable on MySQL, which commits each by itself.

A migration that ended in the middle of a revision left its first half behind; the next one takes up from there.
"""

import sqlalchemy as sa
from alembic.operations import Operations, ops, toimpl


def _left_behind(operations: Operations) -> sa.Inspector | None:
    """What looks up the remains of an earlier run; None where there are none, because transactions hold the schema."""
    connection = operations.get_bind()
    return sa.inspect(connection) if connection.dialect.name == "mysql" else None


@Operations.implementation_for(ops.CreateTableOp, replace=True)
def _create_table(operations: Operations, operation: ops.CreateTableOp) -> sa.Table:
    found = _left_behind(operations)
    if found is None or not found.has_table(operation.table_name):
        return toimpl.create_table(operations, operation)
    table = operation.to_table(operations.migration_context)
    for index in table.indexes:
        if not found.has_index(operation.table_name, str(index.name)):
            operations.impl.create_index(index)
    return table


@Operations.implementation_for(ops.AddColumnOp, replace=True)
def _add_column(operations: Operations, operation: ops.AddColumnOp) -> None:
    found = _left_behind(operations)
    columns = found.get_columns(operation.table_name) if found else []
    if operation.column.name not in {column["name"] for column in columns}:
        toimpl.add_column(operations, operation)


@Operations.implementation_for(ops.CreateIndexOp, replace=True)
def _create_index(operations: Operations, operation: ops.CreateIndexOp) -> None:
    found = _left_behind(operations)
    if found is None or not found.has_index(operation.table_name, str(operation.index_name)):
        toimpl.create_index(operations, operation)
