"""The console: pages that show what happens, play drills, and take a person's decision."""

from backstop.console.app import Console, build_console
from backstop.console.parts import Parts

__all__ = ["Console", "Parts", "build_console"]
