"""The service: alerts come in over HTTP, incidents are read, answered and cancelled. The only package with a web framework."""

from backstop.service.access import Access
from backstop.service.app import build_app
from backstop.service.serving import listening, serve

__all__ = ["Access", "build_app", "listening", "serve"]
