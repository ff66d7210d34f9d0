"""Calls an operation of an AWS API. Arguments: the service and the operation.

Reads the input as JSON from standard input, because everybody sees the arguments of a process, and
the input may have secrets. Writes the output, with all pages, to standard output as JSON, and an
error to standard error.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# A function may take 15 minutes, and a retry after a timeout would run it twice.
LONG_CALL = Config(read_timeout=930, retries={"total_max_attempts": 1})


def to_text(value):
    """Converts what JSON cannot represent: a stream to its text, anything else to a string."""
    return value.read().decode() if hasattr(value, "read") else str(value)


service, operation = sys.argv[1:]
arguments = json.load(sys.stdin)
try:
    client = boto3.client(service, config=LONG_CALL if operation == "invoke" else None)
    if client.can_paginate(operation):
        pages = client.get_paginator(operation).paginate(**arguments)
        answer = pages.build_full_result()
    else:
        answer = getattr(client, operation)(**arguments)
except (BotoCoreError, ClientError) as error:
    sys.exit(str(error))
json.dump(answer, sys.stdout, default=to_text)
