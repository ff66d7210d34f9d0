"""Calls one operation of an AWS API. Its arguments: the service, the operation, the input as JSON.

The answer, all pages of it, goes to standard output as JSON; an error to standard error, as a line.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# A function may take a quarter of an hour, and must not run again because we would not wait.
PATIENTLY = Config(read_timeout=930, retries={"total_max_attempts": 1})


def plain(value):
    """What JSON does not know: a stream as the text in it, anything else as it is written."""
    return value.read().decode() if hasattr(value, "read") else str(value)


service, operation, given = sys.argv[1:]
try:
    client = boto3.client(service, config=PATIENTLY if operation == "invoke" else None)
    if client.can_paginate(operation):
        pages = client.get_paginator(operation).paginate(**json.loads(given))
        answer = pages.build_full_result()
    else:
        answer = getattr(client, operation)(**json.loads(given))
except (BotoCoreError, ClientError) as error:
    sys.exit(str(error))
json.dump(answer, sys.stdout, default=plain)
