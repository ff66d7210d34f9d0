"""The AWS metrics that this application may use. An alarm on any other metric never fires."""

# By namespace: sets of dimensions, separated by |, and the metrics that are published with each of them.
PUBLISHED = {
    "AWS/ApiGateway": {
        "ApiId | ApiId Stage | ApiId Method Resource Stage": (
            "4xx 5xx Count DataProcessed IntegrationLatency Latency"
        ),
    },
    "AWS/ApplicationELB": {
        "LoadBalancer": (
            "ActiveConnectionCount HTTPCode_ELB_4XX_Count HTTPCode_ELB_5XX_Count NewConnectionCount"
            " RejectedConnectionCount"
        ),
        "LoadBalancer | LoadBalancer TargetGroup": (
            "HTTPCode_Target_2XX_Count HTTPCode_Target_3XX_Count HTTPCode_Target_4XX_Count"
            " HTTPCode_Target_5XX_Count RequestCount TargetConnectionErrorCount TargetResponseTime"
        ),
        "LoadBalancer TargetGroup | AvailabilityZone LoadBalancer TargetGroup": (
            "HealthyHostCount UnHealthyHostCount"
        ),
        "TargetGroup | LoadBalancer TargetGroup": "RequestCountPerTarget",
    },
    "AWS/CloudFront": {
        "DistributionId Region": (
            "4xxErrorRate 5xxErrorRate 502ErrorRate 503ErrorRate 504ErrorRate BytesDownloaded BytesUploaded"
            " CacheHitRate OriginLatency Requests TotalErrorRate"
        ),
    },
    "AWS/Cognito": {
        "UserPool UserPoolClient": (
            "SignInSuccesses SignInThrottles SignUpSuccesses SignUpThrottles TokenRefreshSuccesses"
        ),
    },
    "AWS/DynamoDB": {
        "TableName": (
            "ConsumedReadCapacityUnits ConsumedWriteCapacityUnits ReadAccountLimitThrottleEvents"
            " ReadKeyRangeThroughputThrottleEvents ReadThrottleEvents TimeToLiveDeletedItemCount"
            " WriteAccountLimitThrottleEvents WriteKeyRangeThroughputThrottleEvents WriteThrottleEvents"
        ),
        "Operation TableName": "SuccessfulRequestLatency SystemErrors ThrottledRequests",
        "": "UserErrors",
    },
    "AWS/ECS": {"ClusterName | ClusterName ServiceName": "CPUUtilization MemoryUtilization"},
    "AWS/Lambda": {
        " | FunctionName | FunctionName Resource": (
            "ConcurrentExecutions Duration Errors Invocations Throttles"
        ),
        "FunctionName | FunctionName Resource": (
            "AsyncEventAge AsyncEventsDropped AsyncEventsReceived DeadLetterErrors"
            " RecursiveInvocationsDropped"
        ),
        "": "ClaimedAccountConcurrency UnreservedConcurrentExecutions",
    },
    "AWS/NATGateway": {"NatGatewayId": "ActiveConnectionCount ErrorPortAllocation PacketsDropCount"},
    "AWS/RDS": {
        "DBClusterIdentifier | DBInstanceIdentifier | DBClusterIdentifier Role": (
            "BurstBalance CPUUtilization DBLoad DBLoadCPU DBLoadNonCPU DatabaseConnections DiskQueueDepth"
            " EBSByteBalance% EBSIOBalance% FreeStorageSpace FreeableMemory MaximumUsedTransactionIDs"
            " OldestReplicationSlotLag ReadIOPS ReadLatency ReadThroughput ReplicaLag SwapUsage"
            " TransactionLogsDiskUsage WriteIOPS WriteLatency WriteThroughput"
        ),
        "ProxyName": (
            "AvailabilityPercentage ClientConnections ClientConnectionsSetupFailedAuth"
            " DatabaseConnectionRequests DatabaseConnections DatabaseConnectionsBorrowLatency"
            " DatabaseConnectionsCurrentlyBorrowed DatabaseConnectionsCurrentlySessionPinned"
            " DatabaseConnectionsSetupFailed MaxDatabaseConnectionsAllowed QueryDatabaseResponseLatency"
            " QueryRequests"
        ),
    },
    "AWS/SNS": {
        "TopicName": "NumberOfMessagesPublished NumberOfNotificationsDelivered NumberOfNotificationsFailed",
    },
    "AWS/SQS": {
        "QueueName": (
            "ApproximateAgeOfOldestMessage ApproximateNumberOfMessagesDelayed"
            " ApproximateNumberOfMessagesNotVisible ApproximateNumberOfMessagesVisible NumberOfEmptyReceives"
            " NumberOfMessagesDeleted NumberOfMessagesReceived NumberOfMessagesSent SentMessageSize"
        ),
    },
    "AWS/Scheduler": {
        "ScheduleGroup": (
            "InvocationAttemptCount InvocationDroppedCount InvocationThrottleCount"
            " InvocationsFailedToBeSentToDeadLetterCount InvocationsSentToDeadLetterCount TargetErrorCount"
            " TargetErrorThrottledCount"
        ),
    },
    "AWS/States": {
        "StateMachineArn": (
            "ExecutionThrottled ExecutionTime ExecutionsAborted ExecutionsFailed ExecutionsStarted"
            " ExecutionsSucceeded ExecutionsTimedOut"
        ),
    },
    "AWS/WAFV2": {
        "Rule WebACL | Region Rule WebACL": "AllowedRequests BlockedRequests CountedRequests",
    },
    "ECS/ContainerInsights": {
        "ClusterName ServiceName": (
            "CpuReserved CpuUtilized DeploymentCount DesiredTaskCount MemoryReserved MemoryUtilized"
            " PendingTaskCount RestartCount RunningTaskCount TaskSetCount"
        ),
    },
}


def publishes(namespace: str, metric: str, dimensions: set[str]) -> bool:
    """Whether AWS publishes the metric with exactly these dimensions."""
    return any(
        metric in metrics.split() and dimensions in [set(it.split()) for it in sets.split("|")]
        for sets, metrics in PUBLISHED.get(namespace, {}).items()
    )
