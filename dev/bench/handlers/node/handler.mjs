// A JavaScript function up to its first event: it loads the AWS SDK and a PostgreSQL driver,
// creates its clients, and requests an event. It is only started, never invoked.
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SFNClient } from '@aws-sdk/client-sfn';
import pg from 'pg';

export const clients = [new DynamoDBClient(), new SFNClient(), new pg.Pool()];

await fetch(`http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/next`);
