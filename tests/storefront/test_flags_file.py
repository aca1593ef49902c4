"""The flags file of this release: wrong here, it would fail the deployment."""

from functions.schema_migration import flags


def test_flags_file_can_be_read() -> None:
    assert flags.read_declarations(flags.FILE)
