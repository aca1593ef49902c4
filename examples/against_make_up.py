"""What the examples need of a running `make up`, as lines for a shell: `eval "$(python -m examples.against_make_up)"`.

It makes a database `shop` with a product beside the storefront's, and the tables of the outbox.
"""

import json
import sys
from pathlib import Path
from shlex import quote
from urllib.parse import quote as quoted

import psycopg

from cache_aside import SqlOutbox, transactions

LOCAL = Path(__file__).parents[1] / ".local"


def main() -> None:
    described = [json.loads(path.read_text()) for path in (LOCAL / "engines").glob("*.json")]
    engines = {engine["kind"]: engine for engine in described}
    if not {"valkey", "postgres"} <= engines.keys():
        raise SystemExit("run `make up` in this checkout first, with PostgreSQL")
    cache, database, authority = engines["valkey"], engines["postgres"], LOCAL / "tls/ca.pem"
    server = f"{database['username']}:{database['password']}@localhost:{database['port']}"
    ends = f"sslmode=verify-full&sslrootcert={quoted(str(authority))}"
    with psycopg.connect(f"postgresql://{server}/{database['database']}?{ends}", autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'shop'").fetchone():
            connection.execute("CREATE DATABASE shop")
    url = f"postgresql://{server}/shop?{ends}"
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS product (id bigint PRIMARY KEY, name text NOT NULL)")
        connection.execute("INSERT INTO product VALUES (42, 'Chair') ON CONFLICT DO NOTHING")
        outbox = SqlOutbox(transactions(lambda: psycopg.connect(url)), dialect="postgresql")
        for statement in outbox.schema():
            connection.execute(statement.encode())
    exported = {
        "DATABASE_URL": url,
        "CACHE_HOST": "localhost",
        "CACHE_PORT": str(cache["port"]),
        "CACHE_TOKEN": cache["password"],
        "SSL_CERT_FILE": str(authority),
    }
    for name, value in exported.items():
        sys.stdout.write(f"export {name}={quote(value)}\n")


if __name__ == "__main__":
    main()
