"""A Python function up to its first event: it loads the AWS SDK and a PostgreSQL driver, creates its
clients, and requests an event. It is only started, never invoked."""

import os
import urllib.request

import boto3
import psycopg

CLIENTS = [boto3.client(service) for service in ("dynamodb", "stepfunctions")]
CONNECT = psycopg.connect

urllib.request.urlopen(f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/next")
