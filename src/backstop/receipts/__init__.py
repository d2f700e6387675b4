"""What happened in an incident, signed: an in-toto Statement in a DSSE envelope, checked offline with a public key alone.

`record` reads an incident's events, `statement` says what they come to, `envelope` signs it, `issue` keeps the chain of receipts of
one installation, `verify` believes nothing.
"""

from backstop.receipts.issue import Issued, Issuer
from backstop.receipts.keys import create_key, load_public, load_signing_keys
from backstop.receipts.verify import Verified, verify, verify_folder

__all__ = ["Issued", "Issuer", "Verified", "create_key", "load_public", "load_signing_keys", "verify", "verify_folder"]
