"""The parts of paths that name one of many things. Text that can name none is answered 404, without a query."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from storefront.http.operations import MAX_ID
from storefront.http.problems import NO_SUCH_FLAG, NO_SUCH_PRODUCT


@dataclass(frozen=True, kw_only=True)
class PathParameter:
    """What stands in braces in an operation's path: the text it may be, its schema, and what is said of other text."""

    pattern: str
    convert: Callable[[str], int | str]
    schema: Mapping[str, Any]
    unknown: str

    def read(self, text: str) -> int | str:
        """The value; falcon.HTTPNotFound."""
        value = self.convert(text) if re.fullmatch(self.pattern, text) else None
        if value is None or (isinstance(value, int) and value > MAX_ID):
            raise falcon.HTTPNotFound(description=self.unknown)
        return value


_FLAG_NAME = "[a-z0-9][a-z0-9._-]{0,63}"

PATH_PARAMETERS = {
    "product_id": PathParameter(
        pattern="[1-9][0-9]{0,18}",
        convert=int,
        schema={"type": "integer", "minimum": 1, "maximum": MAX_ID, "examples": [42]},
        unknown=NO_SUCH_PRODUCT,
    ),
    "name": PathParameter(
        pattern=_FLAG_NAME,
        convert=str,
        schema={"type": "string", "pattern": f"^{_FLAG_NAME}$", "examples": ["express-checkout"]},
        unknown=NO_SUCH_FLAG,
    ),
}
