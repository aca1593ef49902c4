"""`pytest -p tests.without_mariadb` runs as on a machine that has no MariaDB."""

from local.engines import mariadb

mariadb._SEARCHED = "/nowhere"
