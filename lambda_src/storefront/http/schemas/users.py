"""Users and their passwords."""

from typing import Annotated

import msgspec
from msgspec import Meta

from storefront.entities import Role
from storefront.http.schemas.sessions import Password

# Nothing that looks like another name, or that databases compare in different ways. `$` alone would match before a
# newline at the end, too, in Python.
NewUsername = Annotated[
    str,
    Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*(?!\n)$", examples=["ada@example.com"]),
]
NewPassword = Annotated[str, Meta(min_length=8, max_length=1024)]


class UserInput(msgspec.Struct):
    """A user as an operator makes it."""

    username: NewUsername
    password: NewPassword
    role: Role


class UserOutput(msgspec.Struct):
    """Who a user is, and what they may do: x-allowed-roles of an operation says which roles may ask it."""

    username: str
    role: Role


class PasswordChange(msgspec.Struct):
    """The password that the user has, and the one that they want."""

    current_password: Password
    new_password: NewPassword
