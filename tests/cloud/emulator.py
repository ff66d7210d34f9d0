"""The emulated AWS of the stack under test, with the credentials of the account's owner."""

import json
import os
from pathlib import Path
from typing import Any

import boto3

STACK = "cauce"


class Emulator:
    """Creates clients of its services."""

    def __init__(self) -> None:
        stack = json.loads(Path(os.environ["CAUCE_STACK"]).read_text())
        self._endpoint = stack["aws"]["endpoint"]

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self._endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
