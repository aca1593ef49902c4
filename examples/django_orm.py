"""Django views and its ORM in one file; in a project, all above `django.setup()` is there already.

With DATABASE_URL, CACHE_HOST, CACHE_PORT and CACHE_TOKEN. Run `relay.run_until` in a management command, once.
"""

import json
import os
from functools import partial

import django
from django.conf import settings
from django.db import connection, models, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from psycopg.conninfo import conninfo_to_dict

from cache_aside import CacheAside, Policy, Relay, SqlOutbox, transactions

options = conninfo_to_dict(os.environ["DATABASE_URL"])
database = {"ENGINE": "django.db.backends.postgresql", "NAME": options.pop("dbname"), "OPTIONS": options}
settings.configure(DATABASES={"default": database}, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
django.setup()

server = os.environ["CACHE_HOST"], int(os.environ["CACHE_PORT"])
cache = CacheAside.connect(*server, auth_token=os.environ["CACHE_TOKEN"])
outbox = SqlOutbox(transactions(lambda: connection), dialect="postgresql")
relay = Relay(cache, outbox)
PRODUCT = Policy(name="product", value_type=dict[str, str], ttl_seconds=300)


class Product(models.Model):
    name = models.TextField()

    class Meta:
        app_label, db_table = "shop", "product"


def invalidates(*keys: str) -> None:
    """Record the keys in the present transaction; delete them once it is committed, or never if it is undone."""
    if not connection.in_atomic_block:
        raise RuntimeError("write and invalidate in one transaction.atomic() block")
    rows = outbox.record(connection, keys)
    transaction.on_commit(partial(outbox.deliver, cache, rows))


def product(request: HttpRequest, product_id: int) -> HttpResponse:
    found = Product.objects.filter(id=product_id)
    if request.method == "PUT":
        with transaction.atomic():
            found.update(name=json.loads(request.body)["name"])
            invalidates(f"product:{product_id}")
        return HttpResponse(status=204)
    result = cache.get_or_load(f"product:{product_id}", found.values("name").first, policy=PRODUCT)
    return JsonResponse(result.value or {}, status=200 if result.value else 404, headers={"X-Cache": result.served})


urlpatterns = [path("products/<int:product_id>", product)]
