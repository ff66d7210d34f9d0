//! Spellings of a path that two parsers may read differently. The API's own tests include this file
//! too.

/// Paths that some parser may normalize to `target`, a path that begins with `/v1/`.
pub fn spellings_of(target: &str) -> Vec<String> {
    let backslashed = target.trim_start_matches("/v1/").replace('/', "\\");
    let slashed = target.trim_start_matches("/v1/");
    let id = "0190f3c0-0000-7000-8000-000000000002";
    vec![
        format!("/v1/orders/..\\{backslashed}#/cancel"),
        format!("/v1/orders/..\\{backslashed}#/events"),
        format!("/v1/orders/..\\{backslashed}?/events"),
        format!("/v1/orders/..%5c{slashed}%23/events"),
        format!("/v1/orders/../{slashed}"),
        format!("/v1/orders/%2e%2e/{slashed}"),
        format!("/v1/orders/{id}/../../{slashed}"),
        format!("/v1/orders/..;/{slashed}"),
        format!("/v1/orders\t/../{slashed}"),
        format!("/v1/orders/\n../{slashed}"),
        format!("//v1/{slashed}"),
        format!("/v1/./{slashed}"),
        format!("/v1/{slashed}/"),
        format!("/v1/{slashed}%00"),
        format!("/v1/{slashed}#"),
        format!("/v1/{slashed}%3f"),
        format!("/v1/%{:02x}{}", slashed.as_bytes()[0], &slashed[1..]),
        format!("/v1/%25{:02x}{}", slashed.as_bytes()[0], &slashed[1..]),
        format!("/v1/{}", slashed.replacen('/', "%2f", 1)),
        format!("\\v1\\{backslashed}"),
    ]
}

/// The path of a route, with a value for each of its parameters.
pub fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{provider}" => "payments",
        "{sku}" => "TEA-0001",
        part if part.starts_with('{') => "0190f3c0-0000-7000-8000-000000000002",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}
