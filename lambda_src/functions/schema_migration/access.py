"""Who may do what in the database: the app's role and the first operator."""

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from functions.schema_migration.settings import Login
from storefront.passwords import hash_password

# The app's rights, table by table: what its repositories do and no more.
RIGHTS = {
    "products": "SELECT, INSERT, UPDATE, DELETE",
    "users": "SELECT, INSERT (username, password_hash, role), UPDATE (password_hash)",
    "sessions": "SELECT, INSERT, DELETE",
    "inventory": "SELECT, INSERT, UPDATE (available)",
    "purchases": "SELECT, INSERT (product_id, user_id, quantity, unit_price, idempotency_key)",
    "flags": "SELECT, UPDATE (enabled, rollout_percent)",
    "cache_invalidations": "SELECT, INSERT (key), UPDATE (delivered_at), DELETE",
    "replayed_servers": "SELECT, INSERT (replication_id)",
}


def ensure_app_role(connection: Connection[TupleRow], role: str, password: str | None) -> None:
    """Creates the app's role if it does not exist and gives it its rights.

    It logs in with `password`, or, where that is None, by IAM token, which RDS allows the members of rds_iam.
    """
    name = sql.Identifier(role)
    if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    if password is None:
        connection.execute(sql.SQL("GRANT rds_iam TO {}").format(name))
    else:
        # Hashed here: statements that change roles are among the first that a server is told to log.
        verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(verifier)))
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, name))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
    for table, rights in RIGHTS.items():
        grant = sql.SQL("GRANT {} ON {} TO {}")
        connection.execute(grant.format(sql.SQL(rights), sql.Identifier(table), name))


def ensure_operator(connection: Connection[TupleRow], operator: Login) -> None:
    """Creates the first operator's user if it does not exist; an existing one keeps the password it has."""
    made_operator = "UPDATE users SET role = 'operator' WHERE username = %s"
    if not connection.execute(made_operator, [operator.username]).rowcount:
        connection.execute(
            "INSERT INTO users (username, password_hash, role) VALUES (%s, %s, 'operator')",
            [operator.username, hash_password(operator.password)],
        )
