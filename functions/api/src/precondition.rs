//! Conditional requests (RFC 9110, section 13.1), which prevent lost updates.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header, request::Parts},
};
use store::catalogue::{Version, VersionedProduct};

use crate::problem::{Problem, ProblemType};

/// The version that a change requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// `If-None-Match: *`: the resource does not exist.
    Nothing,
    /// `If-Match`: the resource has this version. `None` is a tag that the API has not issued,
    /// which no version matches.
    Version(Option<Version>),
}

impl<S: Sync> FromRequestParts<S> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.headers).ok_or_else(|| {
            let detail = "Send If-Match with the ETag that you have read, or If-None-Match: * to \
                          create the product.";
            Problem::new(ProblemType::PreconditionRequired, detail).at("If-Match")
        })
    }
}

impl Precondition {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = |name| headers.get(name).map(|it| it.to_str().unwrap_or_default());
        match (value(header::IF_MATCH), value(header::IF_NONE_MATCH)) {
            // `*` matches any version, but a change must name one.
            (Some("*"), _) => None,
            (Some(tag), _) => Some(Self::Version(version(tag))),
            (None, Some("*")) => Some(Self::Nothing),
            (None, _) => None,
        }
    }

    /// Checks the condition against the stored version.
    pub(crate) fn check(self, found: Option<&VersionedProduct>) -> Result<(), Problem> {
        match (self, found) {
            (Self::Nothing, None) => Ok(()),
            (Self::Version(_), None) => Err(Problem::not_found("product")),
            (Self::Version(Some(version)), Some(found)) if version == found.version => Ok(()),
            (_, Some(found)) => Err(stale(Some(found))),
        }
    }
}

/// 412 with the `ETag` of the stored version.
pub(crate) fn stale(found: Option<&VersionedProduct>) -> Problem {
    let detail = "Another request has changed it. Read it again, then repeat the change.";
    let problem = Problem::new(ProblemType::PreconditionFailed, detail).at("If-Match");
    match found {
        Some(found) => problem.with_etag(etag(found.version)),
        None => problem,
    }
}

/// The `ETag` header of a version.
pub(crate) fn etag_header(versioned: &VersionedProduct) -> [(HeaderName, String); 1] {
    [(header::ETAG, etag(versioned.version))]
}

fn etag(version: Version) -> String {
    format!("\"{version}\"")
}

/// The version of a strong tag that the API has issued.
fn version(tag: &str) -> Option<Version> {
    let name = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"0190f3c0-0000-7000-8000-000000000001\"";

    fn precondition(headers: &[(HeaderName, &'static str)]) -> Option<Precondition> {
        let headers = headers.iter().cloned();
        let headers = headers.map(|(name, value)| (name, value.parse().unwrap()));
        Precondition::of(&headers.collect())
    }

    #[test]
    fn a_condition_names_a_version_or_that_there_is_none() {
        let version = TAG.trim_matches('"').parse().unwrap();
        let same = Precondition::Version(Some(version));
        assert_eq!(etag(version), TAG);
        assert_eq!(precondition(&[(header::IF_MATCH, TAG)]), Some(same));
        let nothing = precondition(&[(header::IF_NONE_MATCH, "*")]);
        assert_eq!(nothing, Some(Precondition::Nothing));
    }

    #[test]
    fn other_headers_are_no_condition() {
        assert_eq!(precondition(&[]), None);
        assert_eq!(precondition(&[(header::IF_MATCH, "*")]), None);
        assert_eq!(precondition(&[(header::IF_NONE_MATCH, TAG)]), None);
    }

    #[test]
    fn a_tag_that_the_api_has_not_issued_matches_no_version() {
        for tag in [
            "",
            "\"\"",
            "\"1\"",
            "W/\"0190f3c0-0000-7000-8000-000000000001\"",
            "\"a\", \"b\"",
        ] {
            let expected = Some(Precondition::Version(None));
            assert_eq!(precondition(&[(header::IF_MATCH, tag)]), expected, "{tag}");
        }
    }
}
