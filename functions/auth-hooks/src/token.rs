//! What an access token allows, and whose it is. The API reads `sub`, `email` and `scope` from it.

use std::collections::BTreeSet;

use access::{Role, Scope, scopes_of};
use serde::{Deserialize, Serialize};

use crate::{Event, HookError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    user_attributes: Attributes,
    group_configuration: Option<Groups>,
}

#[derive(Default, Deserialize)]
struct Attributes {
    email: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Groups {
    groups_to_override: Option<Vec<String>>,
}

/// The answer to version 2 of the event. It says nothing of the user's groups, which stay as they
/// are, and nothing of the ID token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    claims_and_scope_override_details: Overrides,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Overrides {
    access_token_generation: AccessToken,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessToken {
    claims_to_add_or_override: Claims,
    scopes_to_add: BTreeSet<&'static str>,
}

#[derive(Serialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

/// What the user is; a group that is no role allows nothing.
pub(crate) fn roles(event: &Event) -> Result<Vec<Role>, HookError> {
    let request: Request = event.request()?;
    let groups = request.group_configuration;
    let groups = groups.and_then(|groups| groups.groups_to_override);
    let roles = groups.unwrap_or_default().into_iter();
    Ok(roles.filter_map(|group| group.parse().ok()).collect())
}

/// The event with what these roles may do, and the user's e-mail address, for the access token.
pub(crate) fn with_scopes(event: Event, roles: Vec<Role>) -> Result<Event, HookError> {
    let request: Request = event.request()?;
    event.answered(&Response {
        claims_and_scope_override_details: Overrides {
            access_token_generation: AccessToken {
                claims_to_add_or_override: Claims {
                    email: request.user_attributes.email,
                },
                scopes_to_add: scopes_of(roles).into_iter().map(Scope::name).collect(),
            },
        },
    })
}
