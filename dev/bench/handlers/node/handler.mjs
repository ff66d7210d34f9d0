// What a function in JavaScript does when it starts: loads the AWS SDK and a driver of PostgreSQL, makes its
// clients, and asks for its first event. It is only started, never called.
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SFNClient } from '@aws-sdk/client-sfn';
import pg from 'pg';

export const clients = [new DynamoDBClient(), new SFNClient(), new pg.Pool()];

await fetch(`http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/next`);
