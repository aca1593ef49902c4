"""The app for a WSGI server: `gunicorn storefront.wsgi:app`, with the environment variables of settings.py.

Load it after forking. Something has to run the invalidation relay beside it: a scheduled function, or a thread.
"""

import os

from storefront.bootstrap import build_app
from storefront.settings import Settings

app = build_app(Settings.from_environment(os.environ), background=True)
