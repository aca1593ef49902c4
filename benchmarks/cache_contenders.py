"""The libraries side by side, each doing the same four things with the same 323-byte product.

Every one of them serializes with msgspec where it lets the caller choose; cashews pickles, which is its fast way.
"""

import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any

import msgspec
import redis
import redis.asyncio
from redis.maint_notifications import MaintNotificationsConfig

from cache_aside import AsyncCacheAside, CacheAside, Options, Policy

TTL_SECONDS = 600


class Product(msgspec.Struct):
    """323 bytes as JSON."""

    id: int
    name: str
    price: float
    tags: list[str]
    description: str


PRODUCT = Product(42, "Chair", 129.9, ["furniture", "wood", "oak"], "d" * 236)
POLICY = Policy(name="product", value_type=Product, ttl_seconds=TTL_SECONDS)
PATIENT = Options(connect_timeout_seconds=5, read_timeout_seconds=5, connections=64)
encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Product).decode
Load = Callable[[], Product]
AsyncLoad = Callable[[], Awaitable[Product]]


class Address(msgspec.Struct, frozen=True):
    """A server: plain, or TLS when `ca_file` is given."""

    port: int
    password: str = ""
    ca_file: str = ""

    @property
    def context(self) -> ssl.SSLContext | None:
        """What verifies the server."""
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None

    @property
    def options(self) -> dict[str, Any]:
        """As redis-py takes it."""
        tls = {"ssl": True, "ssl_ca_certs": self.ca_file} if self.ca_file else {}
        return {"host": "localhost", "port": self.port, "password": self.password or None, **tls}


class Contender:
    """One library on one server. `get` reads through with a loader; the many form returns every value."""

    def __init__(self, address: Address) -> None:
        raise NotImplementedError

    def get(self, key: str, load: Load) -> Product:
        """A hit, or a load and a fill."""
        raise NotImplementedError

    def get_many(self, keys: Sequence[str]) -> list[Product]:
        """All of them are hits."""
        raise NotImplementedError


class RedisPy(Contender):
    """The floor: no protection of any kind. One `single_connection_client` a thread."""

    def __init__(self, address: Address) -> None:
        self._options, self._local = address.options, threading.local()

    @property
    def _client(self) -> Any:
        if not hasattr(self._local, "client"):
            quiet = MaintNotificationsConfig(enabled=False)
            self._local.client = redis.Redis(
                **self._options, single_connection_client=True, maint_notifications_config=quiet
            )
        return self._local.client

    def get(self, key: str, load: Load) -> Product:
        raw = self._client.get(key)
        if raw is not None:
            return decode(raw)
        product = load()
        self._client.set(key, encode(product), ex=TTL_SECONDS)
        return product

    def get_many(self, keys: Sequence[str]) -> list[Product]:
        return [decode(raw) for raw in self._client.mget(keys)]


class ClientSide(RedisPy):
    """redis-py's own cache in the process, which the server tells what has changed (RESP3 tracking).

    redis-py allows it for Redis 7.4 and newer only. Valkey speaks the same protocol, so that check is taken away here.
    """

    @property
    def _client(self) -> Any:
        if not hasattr(self._local, "client"):
            connection: Any = import_module("redis.connection").CacheProxyConnection
            connection.DEFAULT_SERVER_NAME, connection.MIN_ALLOWED_VERSION = "valkey", "0.0.0"
            self._local.client = redis.Redis(
                **self._options,
                single_connection_client=True,
                protocol=3,
                cache_config=import_module("redis.cache").CacheConfig(),
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
            )
        return self._local.client


class OurSync(Contender):
    """cache_aside.CacheAside."""

    def __init__(self, address: Address, options: Options = PATIENT) -> None:
        self._cache = CacheAside.connect(
            "localhost",
            address.port,
            auth_token=address.password or None,
            tls=address.context or False,
            options=options,
        )

    def get(self, key: str, load: Load) -> Product:
        return self._cache.get_or_load(key, load, policy=POLICY).value  # type: ignore[return-value]

    def get_many(self, keys: Sequence[str]) -> list[Product]:
        results = self._cache.get_many_or_load(keys, lambda missing: dict.fromkeys(missing, PRODUCT), policy=POLICY)
        return [result.value for result in results.values()]  # type: ignore[misc]


class Dogpile(Contender):
    """dogpile.cache with its in-process lock, or with the lock in Redis that several processes need."""

    distributed = False

    def __init__(self, address: Address) -> None:
        make_region = import_module("dogpile.cache").make_region
        arguments = {
            "connection_kwargs": address.options,
            "url": None,
            "redis_expiration_time": TTL_SECONDS,
            "distributed_lock": self.distributed,
            "thread_local_lock": not self.distributed,
            "lock_timeout": 10,
        }
        self._region: Any = make_region(serializer=encode, deserializer=decode).configure(
            "dogpile.cache.redis", arguments=arguments | address.options
        )

    def get(self, key: str, load: Load) -> Product:
        product: Product = self._region.get_or_create(key, load)
        return product

    def get_many(self, keys: Sequence[str]) -> list[Product]:
        return list(self._region.get_multi(keys))


class DogpileDistributed(Dogpile):
    """The same with the lock in Redis."""

    distributed = True


class AsyncContender:
    """A library of asyncio's; made inside the event loop."""

    def __init__(self, address: Address) -> None:
        raise NotImplementedError

    async def get(self, key: str, load: AsyncLoad) -> Product:
        """A hit, or a load and a fill."""
        raise NotImplementedError

    async def get_many(self, keys: Sequence[str]) -> list[Product]:
        """All of them are hits."""
        raise NotImplementedError


class RedisAsync(AsyncContender):
    """The floor of asyncio."""

    def __init__(self, address: Address) -> None:
        self._client: Any = redis.asyncio.Redis(**address.options, max_connections=200)

    async def get(self, key: str, load: AsyncLoad) -> Product:
        raw = await self._client.get(key)
        if raw is not None:
            return decode(raw)
        product = await load()
        await self._client.set(key, encode(product), ex=TTL_SECONDS)
        return product

    async def get_many(self, keys: Sequence[str]) -> list[Product]:
        return [decode(raw) for raw in await self._client.mget(keys)]


class OurAsync(AsyncContender):
    """cache_aside.AsyncCacheAside."""

    def __init__(self, address: Address, options: Options = PATIENT) -> None:
        self._cache = AsyncCacheAside.connect(
            "localhost",
            address.port,
            auth_token=address.password or None,
            tls=address.context or False,
            options=options,
        )

    async def get(self, key: str, load: AsyncLoad) -> Product:
        return (await self._cache.get_or_load(key, load, policy=POLICY)).value  # type: ignore[return-value]

    async def get_many(self, keys: Sequence[str]) -> list[Product]:
        async def load(missing: Sequence[str]) -> dict[str, Product]:
            return dict.fromkeys(missing, PRODUCT)

        results = await self._cache.get_many_or_load(keys, load, policy=POLICY)
        return [result.value for result in results.values()]  # type: ignore[misc]


class Cashews(AsyncContender):
    """cashews with its lock, as its decorator does it."""

    def __init__(self, address: Address) -> None:
        self._cache: Any = import_module("cashews").Cache()
        scheme = "rediss" if address.ca_file else "redis"
        options = {"ssl_ca_certs": address.ca_file} if address.ca_file else {}
        secret = f":{address.password}@" if address.password else ""
        self._cache.setup(f"{scheme}://{secret}localhost:{address.port}/", max_connections=200, **options)
        self._loads: dict[str, AsyncLoad] = {}

        async def read(key: str) -> Product:
            return await self._loads[key]()

        self._read = self._cache(ttl=TTL_SECONDS, key="{key}", lock=True)(read)

    async def get(self, key: str, load: AsyncLoad) -> Product:
        self._loads[key] = load
        product: Product = await self._read(key)
        return product

    async def get_many(self, keys: Sequence[str]) -> list[Product]:
        return list(await self._cache.get_many(*keys))


class AioCache(AsyncContender):
    """aiocache with its lock (RedLock), as its `cached_stampede` does it."""

    def __init__(self, address: Address) -> None:
        serializer = import_module("aiocache.serializers").NullSerializer()
        serializer.dumps, serializer.loads = encode, lambda raw: None if raw is None else decode(raw)
        self._lock: Any = import_module("aiocache.lock").RedLock
        self._cache: Any = import_module("aiocache").RedisCache(
            endpoint="localhost", port=address.port, password=address.password or None, serializer=serializer
        )
        self._cache.client = redis.asyncio.Redis(**address.options, max_connections=200)

    async def get(self, key: str, load: AsyncLoad) -> Product:
        found: Product | None = await self._cache.get(key)
        if found is not None:
            return found
        async with self._lock(self._cache, key, lease=2):
            found = await self._cache.get(key)
            if found is None:
                found = await load()
                await self._cache.set(key, found, ttl=TTL_SECONDS)
        return found

    async def get_many(self, keys: Sequence[str]) -> list[Product]:
        return list(await self._cache.multi_get(keys))


SYNC: dict[str, type[Contender]] = {
    "redis-py": RedisPy,
    "cache_aside": OurSync,
    "redis-py, client-side cache": ClientSide,
    "dogpile": Dogpile,
    "dogpile, lock in Redis": DogpileDistributed,
}
ASYNC: dict[str, type[AsyncContender]] = {
    "redis.asyncio": RedisAsync,
    "cache_aside async": OurAsync,
    "cashews": Cashews,
    "aiocache": AioCache,
}
