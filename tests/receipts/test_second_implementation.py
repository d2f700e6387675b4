"""openssl, which knows nothing of Backstop, verifies the signature over the PAE bytes."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.receipts.signing import Installation, record

OPENSSL = shutil.which("openssl")


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl here")
def test_openssl_verifies_the_signature_and_refuses_an_altered_payload(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    envelope = json.loads(home.sign(record(tmp_path / "events.jsonl")))
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))

    def says(payload: bytes) -> int:
        pae = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])
        (tmp_path / "pae").write_bytes(pae)
        public = str(next(home.keys_directory.glob("*.pub")))
        command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-in", "pae", "-sigfile", "sig"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert says(payload) == 0
    assert says(payload.replace(b"resolved", b"no_fault")) != 0
