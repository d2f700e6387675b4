"""A run as one HTML file that asks nobody for anything: its frames, this console's own scripts and styles, and a policy that
forbids everything else. What agents and models said in it is data, never markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, Final

from markupsafe import Markup

from backstop.console.pages import environment, static_files
from backstop.errors import RecordError

STYLES: Final = ("console.css", "run.css")
SCRIPTS: Final = ("page.js", "run.js")
CHARTS: Final = "vendor/uplot.iife.min.js"

_IMPORT: Final = re.compile(r'^import (?:(?P<whole>\w+)|\{(?P<names>[^}]*)\}) from "\./(?P<path>[\w./-]+)";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function|class|const) (?P<name>\w+))", re.MULTILINE)
_EXPORTS: Final = re.compile(r"export ?\{(?P<names>[^}]*)\};?")
_DEFAULT: Final = re.compile(r"export default (?=function\()")


def exported(frames: Sequence[str], name: str) -> str:
    """The file of the run `name`, from its frames, a line of JSON each. Raises RecordError if they are no run's."""
    header, data = _read(frames, name)
    style, charts, script = "\n".join(map(_static, STYLES)), _static(CHARTS), linked(SCRIPTS)
    return (
        environment()
        .get_template("run_export.html")
        .render(
            name=name,
            header=header,
            whole=json.loads(frames[-1])["body"].get("kind") in {"ended", "failed"},
            version=version("backstop"),
            policy=_policy(style, (charts, script)),
            style=Markup(style),  # noqa: S704  our own files
            scripts=[Markup(charts), Markup(script)],  # noqa: S704
            frames=Markup(data),  # noqa: S704  JSON in which no tag can begin
        )
    )


def linked(entries: Iterable[str]) -> str:
    """These modules and all that they import, each after what it needs, as one script that imports nothing."""
    found: dict[str, str] = {}
    for entry in entries:
        _link(entry, found)
    return "\n".join(['"use strict";', "const modules = {};", *found.values()])


def _link(name: str, found: dict[str, str]) -> None:
    source = _static(name)
    for needed in _IMPORT.finditer(source):
        if needed["path"] not in found:
            _link(needed["path"], found)
    names = [one["name"] for one in _EXPORT.finditer(source)]
    for listed in _EXPORTS.finditer(source):
        names += [_renamed(one, " as ", "{1}: {0}") for one in listed["names"].split(",")]
    if _DEFAULT.search(source):
        names.append("default: whole")
    source = _IMPORT.sub(_taken, source)
    source = _DEFAULT.sub("const whole = ", _EXPORTS.sub("", _EXPORT.sub("", source)))
    found[name] = f'modules["{name}"] = (() => {{\n{source}\nreturn {{ {", ".join(names)} }};\n}})();'


def _taken(needed: re.Match[str]) -> str:
    if needed["whole"]:
        return f'const {{ default: {needed["whole"]} }} = modules["{needed["path"]}"];'
    names = ", ".join(_renamed(one, " as ", "{0}: {1}") for one in needed["names"].split(","))
    return f'const {{ {names} }} = modules["{needed["path"]}"];'


def _renamed(listed: str, between: str, form: str) -> str:
    inner, found, outer = listed.strip().partition(between)
    return form.format(inner, outer) if found else inner


def _static(name: str) -> str:
    """A file of ours, as it may stand within a tag."""
    text = static_files()[name].decode("utf-8").replace("\r\n", "\n")
    return re.sub(r"^//# sourceMappingURL=.*$", "", text, flags=re.MULTILINE).replace("</script", "<\\/script")


def _read(frames: Sequence[str], name: str) -> tuple[dict[str, Any], str]:
    try:
        read = [json.loads(line) for line in frames]
        begun = read[0]["body"]["kind"] == "begun" and all("kind" in frame["body"] for frame in read)
    except (ValueError, LookupError, TypeError, RecursionError):
        begun = False
    if not begun:
        todo = "wait until it begins, or choose another run"
        raise RecordError(f"there is no run to be exported in {name}", unchanged="nothing was written", todo=todo)
    return read[0]["body"], json.dumps(read, separators=(",", ":")).replace("<", "\\u003c")


def _policy(style: str, scripts: Iterable[str]) -> str:
    """Only what is in the file, told by its digest; nothing is fetched, sent, framed or made a base of."""
    allowed = " ".join(map(_digest, scripts))
    return f"default-src 'none'; script-src {allowed}; style-src {_digest(style)}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
