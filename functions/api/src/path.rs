//! Refuses paths that two parsers could read differently.
//!
//! API Gateway, the CDN, URL parsers and routers differ in what they decode, resolve and split.
//! They all agree on a path of unreserved characters, and no route of the API needs others.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::problem::{Problem, ProblemType};

/// Answers 400 unless the path is canonical.
pub(crate) async fn require_canonical(request: Request, next: Next) -> Response {
    if is_canonical(request.uri().path()) {
        return next.run(request).await;
    }
    let rule = "The path may have letters, digits, '-', '.', '_' and '~' between single slashes.";
    Problem::new(ProblemType::InvalidPath, rule)
        .at("path")
        .into_response()
}

/// Whether the path is `/`, or has only segments of RFC 3986's unreserved characters, none of them
/// empty, `.` or `..`.
fn is_canonical(path: &str) -> bool {
    match path.strip_prefix('/') {
        Some("") => true,
        Some(segments) => segments.split('/').all(is_segment),
        None => false,
    }
}

fn is_segment(segment: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::{Body, to_bytes},
        extract::Path,
        http::Uri,
        routing::get,
    };
    use proptest::prelude::*;
    use tower::ServiceExt;
    use url::Url;

    use super::*;

    #[test]
    fn paths_of_the_api_are_canonical() {
        for path in ["/", "/openapi.json", "/v1/products/TEA-0001", "/v1/a~b/c_d"] {
            assert!(is_canonical(path), "{path}");
        }
    }

    #[test]
    fn ambiguous_paths_are_not_canonical() {
        for path in [
            "",
            "v1",
            "*",
            "//",
            "/v1/",
            "//v1",
            "/v1//orders",
            "/.",
            "/..",
            "/v1/../v1",
            "/v1/./me",
            "/a\\b",
            "/a#b",
            "/a?b",
            "/a;b",
            "/a b",
            "/a\tb",
            "/a\nb",
            "/a\0b",
            "/a\u{7f}b",
            "/é",
            "/%2e%2e",
            "/a%2fb",
            "/a%5cb",
            "/a%23b",
            "/a%3fb",
            "/a%00b",
            "/%73earch",
            "/%2573earch",
            "/%ff",
            "/%",
            "/a\u{202e}b",
            "/\u{ff0e}\u{ff0e}/a",
            "/a%u002e",
        ] {
            assert!(!is_canonical(path), "{path:?}");
        }
    }

    /// Paths of pieces that parsers are known to read differently.
    fn any_path() -> impl Strategy<Value = String> {
        let pieces = [
            "/", "/", "v1", "users", "TEA-0001", ".", "..", "%2e", "%2E%2e", "\\", "%5c", "%2f",
            "%252f", "#", "?", "%23", "%3f", ";", "\t", "\n", "\0", "%00", "%0a", "é", "%c3%a9",
            "%ff", "~", "_", "@", ":",
        ];
        let chosen = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..8);
        prop_oneof![
            chosen.prop_map(|pieces| pieces.concat()),
            "\\PC{0,12}",
            ".{0,8}",
            "([a-z.~]{1,3}/){0,2}[a-z.~_-]{1,3}",
        ]
        .prop_map(|path| format!("/{path}"))
    }

    /// The segments that axum's router finds in the path.
    async fn match_segments(path: &str) -> Vec<String> {
        let one = async |Path(a): Path<String>| a;
        let two = async |Path((a, b)): Path<(String, String)>| format!("{a}\n{b}");
        let router = Router::new()
            .route("/{a}", get(one))
            .route("/{a}/{b}", get(two));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        body.split('\n').map(str::to_owned).collect()
    }

    proptest! {
        #[test]
        fn all_parsers_read_a_canonical_path_the_same(path in any_path()) {
            if !is_canonical(&path) {
                return Ok(());
            }
            let whole = format!("https://cauce.example{path}");
            let (url, uri) = (Url::parse(&whole).unwrap(), path.parse::<Uri>().unwrap());
            prop_assert_eq!(url.path(), &path);
            prop_assert_eq!(uri.path(), &path);
            let segments: Vec<&str> = path[1..].split('/').collect();
            if path != "/" && segments.len() <= 2 {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                prop_assert_eq!(runtime.block_on(match_segments(&path)), segments);
            }
        }

        #[test]
        fn a_path_that_a_url_parser_changes_is_not_canonical(path in any_path()) {
            let whole = format!("https://cauce.example{path}");
            let read = Url::parse(&whole).unwrap();
            if read.path() != path || read.query().is_some() || read.fragment().is_some() {
                prop_assert!(!is_canonical(&path), "{:?} becomes {:?}", path, read.as_str());
            }
        }
    }
}
