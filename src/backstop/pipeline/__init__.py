"""The product: one module per stage, and `incident` which alone knows their order.

    alert -> evidence -> diagnosis -> quality_gate -> plan -> action_gate -> execute -> verify
                             ^            | no                   | no                      | worse
                             +- re-route -+                      +-> escalate <---- undo <-+

Stages are pure: they take and return records. Only `incident` awaits effects, each through a port of `ports`.
"""

from typing import Final

STAGES: Final = ("evidence", "diagnosis", "quality_gate", "plan", "action_gate", "execute", "verify", "undo")
"""The single order that the README's diagram, the import contract and the console's stage bar are tested against."""
