"""The single boundary that every text passes on its way to a model: the net below what was redacted when it was read.

Prompts write `<` as an escape, so that evidence cannot close a tag (`prompts.sealed`). A placeholder is shown to the redactor as it
is, so that it is left alone, and written as the prompt has it again.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from backstop.redaction import Redactor

_NAME: Final = r"(redacted-[a-z]{2,8}-[0-9a-f]{8})"
_SEALED: Final = re.compile(rf"\\u003c{_NAME}\\u003e")
_SHOWN: Final = re.compile(rf"<{_NAME}>")


def redacted(text: str) -> str:
    """`text` as a model may see it. The names of what is found only here are made with a key that nobody keeps. Raises what the
    redactor raises, and then nobody is asked."""
    clean = Redactor(secrets.token_bytes(32)).redact(_SEALED.sub(r"<\1>", text))
    return _SHOWN.sub(r"\\u003c\1\\u003e", clean)
