"""FastAPI and asynchronous SQLAlchemy.

uvicorn examples.fastapi_sqlalchemy:app   the service, with DATABASE_URL, CACHE_HOST, CACHE_PORT and CACHE_TOKEN
python -m examples.fastapi_sqlalchemy     the relay beside it, once for all processes
"""

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Response
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from cache_aside import AsyncCacheAside, CacheAside, Policy, Relay, SqlOutbox, transactions

URL = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")  # for async and sync
SERVER = os.environ["CACHE_HOST"], int(os.environ["CACHE_PORT"])
app, engine = FastAPI(), create_async_engine(URL)
cache = AsyncCacheAside.connect(*SERVER, auth_token=os.environ["CACHE_TOKEN"])
outbox = SqlOutbox(transactions(create_engine(URL).raw_connection), dialect="postgresql")
relay = Relay(CacheAside.connect(*SERVER, auth_token=os.environ["CACHE_TOKEN"]), outbox)
PRODUCT = Policy(name="product", value_type=dict[str, str], ttl_seconds=300)


@asynccontextmanager
async def changing(*keys: str) -> AsyncIterator[AsyncSession]:
    """A transaction that makes these keys obsolete: it commits with its outbox rows, which are then delivered."""
    async with AsyncSession(engine) as session, session.begin():
        yield session
        rows = await session.run_sync(lambda it: outbox.record(it.connection().connection, keys))
    await outbox.deliver_async(cache, rows)


@app.get("/products/{product_id}")
async def read(product_id: int, response: Response) -> dict[str, str]:
    result = await cache.get_or_load(f"product:{product_id}", select_product, product_id, policy=PRODUCT)
    if result.value is None:
        raise HTTPException(404)
    response.headers["X-Cache"] = result.served
    return result.value


@app.put("/products/{product_id}", status_code=204)
async def write(product_id: int, product: dict[str, str]) -> None:
    async with changing(f"product:{product_id}") as session:
        await session.execute(text("UPDATE product SET name = :name WHERE id = :id"), product | {"id": product_id})


async def select_product(product_id: int) -> dict[str, str] | None:
    async with AsyncSession(engine) as session:
        name = await session.scalar(text("SELECT name FROM product WHERE id = :id"), {"id": product_id})
    return {"name": name} if name else None


if __name__ == "__main__":
    relay.run_until(threading.Event())
