"""What an outcome says about a model, and what to do about it, in one sentence that a tired person can follow."""

from __future__ import annotations

import re
from typing import Final

from backstop.doctor.models import Candidate
from backstop.doctor.scrubbing import is_variable, plain_url
from backstop.models.asking import Attempt
from backstop.models.catalog import GATEWAY
from backstop.models.providers import VENDORS
from backstop.settings import Settings

MEANINGS: Final = {
    "auth": ("not let in: the key is wrong, or may not use the model", "correct {key}"),
    "quota": ("no credit is left", "look at the account behind {key}"),
    "rate_limited": ("our rate is limited just now", "try again later, or set requests_per_minute"),
    "server_error": ("the provider has a fault of its own just now", "try again later"),
    "unreachable": ("nobody answers at {where}", "correct {url}, or look at the network and the proxy"),
    "connection": ("the connection broke", "try again, and look at the network and the proxy if that stays"),
    "timeout": ("no whole answer came in time", "try again, and look at the network if that stays"),
    "unknown_model": ("no model is known there by the name {wire}", "correct it in {setting}"),
    "not_found": ("there is nothing at {where}", "correct {url} (is /v1 missing, or too much?)"),
    "rejected": ("a plain question is turned down", "is {wire} the name of a model for chat?"),
    "context_length": ("one short sentence is said to be too long", "is {wire} the name of a model for chat?"),
    "malformed": ("whatever answers at {where} does not answer as a model does", "correct {url}, or look at the proxy"),
    "refused": ("one harmless sentence is refused", "look at the filters of the provider"),
    "empty": ("the answer says nothing", "try again"),
    "truncated": ("the answer broke off", "try again"),
    "throttled": ("not asked", "raise requests_per_minute or tokens_per_minute"),
    "over_budget": ("not asked", "raise the budget"),
    "withheld": ("not asked: the question could not be redacted", "that is a fault of Backstop's, please report it"),
}
"""What it means, and what to do. What is not here cannot come of this question, or is plain by its own words."""

_WRAPPED: Final = re.compile(r"status_code: \d+, model_name: .*?, body: ")
_MESSAGE: Final = re.compile(r"""['"][Mm]essage['"]: (['"])(.*?)\1""")
_TITLE: Final = re.compile(r"(?:<!doctype|<html).*?<title>(.*?)</title>.*", re.IGNORECASE)
_HTTP: Final = re.compile(r"HTTP \d+: ")


def words_of(detail: str) -> str:
    """What the provider said, out of what the SDK made of it: `HTTP 401: invalid x-api-key`."""
    plain = _WRAPPED.sub("", detail)
    message = _MESSAGE.search(plain)
    if message:
        status = _HTTP.match(plain)
        plain = (status.group() if status else "") + message.group(2)
    return _TITLE.sub(r"a page called \1", plain).strip()


def sentence_of(attempt: Attempt, said: str, asked: Candidate, settings: Settings) -> str:
    """Why a model did not answer, and what to do. `said` is told with it: a provider's own words, or what happened on the way."""
    word = attempt.outcome
    if word == "not_found" and "model" in said.lower():
        word = "unknown_model"
    meaning, todo = MEANINGS.get(word, (f"not answered ({word.replace('_', ' ')})", "try again"))
    names = {
        "key": key_place(asked, settings),
        "url": url_place(asked, settings),
        "where": plain_url(asked.endpoint.url) if asked.endpoint.url else f"{asked.endpoint.kind}'s own address",
        "wire": asked.spec.wire,
        "setting": "model_chain" if asked.name in settings.model_chain else "judge_models",
    }
    own = said if _HTTP.match(said) else ""
    happened = f" ({said.rstrip('.')})" if said and not own else ""
    sentence = f"{meaning.format(**names)}{happened}; {todo.format(**names)}"
    return f"{sentence}. It says: {own.rstrip('.')}" if own else sentence


def key_place(asked: Candidate, settings: Settings) -> str:
    """Where the key of a model is written, never the key."""
    name = asked.endpoint.name
    if name == GATEWAY:
        return "BACKSTOP_MODELS_API_KEY"
    provider = {**VENDORS, **settings.providers}[name]
    if provider.kind == "bedrock":
        return "the AWS credentials, which need bedrock:InvokeModel"
    if provider.api_key is not None or not is_variable(provider.api_key_env or ""):
        return f"the key of [providers.{name}]"
    return str(provider.api_key_env)


def url_place(asked: Candidate, settings: Settings) -> str:
    """Where the address of a model is written."""
    name = asked.endpoint.name
    if name == GATEWAY:
        return "models_url"
    return f"url of [providers.{name}]" if name in settings.providers else f"the provider in {asked.name}"
