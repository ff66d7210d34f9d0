//! Which state of something a change is meant for (RFC 9110, 13.1): so that nobody overwrites what
//! another has written meanwhile.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header, request::Parts},
};
use store::catalogue::{Version, VersionedProduct};

use crate::problem::{Problem, ProblemType};

/// What a change expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// `If-None-Match: *`: there is nothing so far.
    Nothing,
    /// `If-Match`: it is as it was in this version; in none that there ever was, if it isn't one of
    /// our tags.
    Version(Option<Version>),
}

impl<S: Sync> FromRequestParts<S> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.headers).ok_or_else(|| {
            let detail = "Send If-Match with the ETag of what you have read, or If-None-Match: * to \
                          make what is not there.";
            Problem::new(ProblemType::PreconditionRequired, detail).at("If-Match")
        })
    }
}

impl Precondition {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = |name| headers.get(name).map(|it| it.to_str().unwrap_or_default());
        match (value(header::IF_MATCH), value(header::IF_NONE_MATCH)) {
            // Any version: a change must name the one that it is meant for.
            (Some("*"), _) => None,
            (Some(tag), _) => Some(Self::Version(version(tag))),
            (None, Some("*")) => Some(Self::Nothing),
            (None, _) => None,
        }
    }

    /// Whether what is there is what was expected.
    pub(crate) fn check(self, found: Option<&VersionedProduct>) -> Result<(), Problem> {
        match (self, found) {
            (Self::Nothing, None) => Ok(()),
            (Self::Version(_), None) => Err(Problem::not_found("product")),
            (Self::Version(Some(version)), Some(found)) if version == found.version => Ok(()),
            (_, Some(found)) => Err(stale(Some(found))),
        }
    }
}

/// Somebody was faster: what is there now has this tag.
pub(crate) fn stale(found: Option<&VersionedProduct>) -> Problem {
    let detail = "Somebody else has changed it meanwhile. Look at what it is now.";
    let problem = Problem::new(ProblemType::PreconditionFailed, detail).at("If-Match");
    match found {
        Some(found) => problem.tagged(etag(found.version)),
        None => problem,
    }
}

/// The header that names a version.
pub(crate) fn tag(versioned: &VersionedProduct) -> [(HeaderName, String); 1] {
    [(header::ETAG, etag(versioned.version))]
}

fn etag(version: Version) -> String {
    format!("\"{version}\"")
}

/// The version that a strong tag of ours names.
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
    fn a_change_says_what_it_is_meant_for() {
        let version = TAG.trim_matches('"').parse().unwrap();
        let same = Precondition::Version(Some(version));
        assert_eq!(etag(version), TAG);
        assert_eq!(precondition(&[(header::IF_MATCH, TAG)]), Some(same));
        let nothing = precondition(&[(header::IF_NONE_MATCH, "*")]);
        assert_eq!(nothing, Some(Precondition::Nothing));
    }

    #[test]
    fn a_change_that_does_not_is_not_made() {
        assert_eq!(precondition(&[]), None);
        assert_eq!(precondition(&[(header::IF_MATCH, "*")]), None);
        assert_eq!(precondition(&[(header::IF_NONE_MATCH, TAG)]), None);
    }

    #[test]
    fn a_tag_that_is_not_ours_is_of_no_version() {
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
