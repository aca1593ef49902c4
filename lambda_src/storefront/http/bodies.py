"""Reading request bodies."""

from collections.abc import Callable
from typing import Any

import falcon
import msgspec

MAX_BYTES = 16 * 1024


def read_body(request: falcon.Request, decode: Callable[[bytes], Any]) -> Any:
    """The decoded body; the falcon.HTTPError that says what is wrong with it: 400, 413, 415 or 422."""
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if media_type != falcon.MEDIA_JSON:
        raise falcon.HTTPUnsupportedMediaType(description="The body has to be application/json.")
    try:
        return decode(_read(request))
    except msgspec.ValidationError as error:
        raise falcon.HTTPUnprocessableEntity(description=str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise falcon.HTTPBadRequest(description=f"The body is not JSON: {error}") from None
    except RecursionError:
        raise falcon.HTTPBadRequest(description="The body is nested too deeply.") from None


def _read(request: falcon.Request) -> bytes:
    # A chunked body has no length; the server then promises that its stream ends where the body does.
    ends = request.env.get("wsgi.input_terminated", False)
    stream = request.stream if ends else request.bounded_stream
    body: bytes = stream.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise falcon.HTTPContentTooLarge(description=f"The body may have {MAX_BYTES} bytes.")
    return body
