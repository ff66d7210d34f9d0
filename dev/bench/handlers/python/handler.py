"""What a function in Python does when it starts: loads the AWS SDK and a driver of PostgreSQL, makes its
clients, and asks for its first event. It is only started, never called."""

import os
import urllib.request

import boto3
import psycopg

CLIENTS = [boto3.client(service) for service in ("dynamodb", "stepfunctions")]
CONNECT = psycopg.connect

urllib.request.urlopen(f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/next")
