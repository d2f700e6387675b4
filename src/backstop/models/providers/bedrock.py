"""Amazon Bedrock's Converse API. botocore is not asynchronous: each call is a thread, which a deadline leaves behind.

So that such a thread ends, botocore's own read timeout is the hop's deadline. Its retries are off, and it takes its time-outs from
nowhere but here: botocore ignores what a request asks for. A body that drips outlives that: its hop is left in time, but its
thread stays for as long as it drips, and a process that ends waits for it.
"""

from __future__ import annotations

from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ConnectionClosedError
from pydantic_ai.models import Model
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.providers.bedrock import BedrockProvider

from backstop.errors import ConfigError
from backstop.models.catalog import ModelSpec
from backstop.models.providers import Endpoint
from backstop.models.providers.wire import Wire, keep_headers

_CONNECTIONS: Final = 50
_AFTER: Final = "after-call.bedrock-runtime.Converse"


def bedrock_model(spec: ModelSpec, endpoint: Endpoint, wire: Wire) -> Model:
    """Raises `ConfigError` if the AWS SDK cannot be set up, for a profile that does not exist, say."""
    config = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=wire.connect_seconds,
        read_timeout=wire.seconds(spec),
        max_pool_connections=_CONNECTIONS,
        ignore_configured_endpoint_urls=True,  # AWS_ENDPOINT_URL cannot redirect evidence either
        **({"proxies": {}} if endpoint.local else {}),
    )
    try:
        client = boto3.Session(region_name=endpoint.region).client("bedrock-runtime", endpoint_url=endpoint.url, config=config)
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"{spec.id} cannot be asked: {error}", todo="correct the AWS configuration") from error
    client.meta.events.register(_AFTER, _after_call)
    return BedrockConverseModel(spec.wire, provider=BedrockProvider(bedrock_client=client))


def _after_call(http_response: Any, **_: Any) -> None:
    keep_headers(http_response.headers)
    announced = http_response.headers.get("content-length")
    if announced is not None and len(http_response.content) < int(announced):  # cut off, which botocore does not look at
        raise ConnectionClosedError(endpoint_url=http_response.url)
