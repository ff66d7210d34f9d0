//! What an access token allows, and whose it is. The API reads `sub`, `email` and `scope` from it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Event, HookError, role::scopes_of};

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

/// The event with the scopes of the user's groups, and the user's e-mail address, for the access
/// token.
pub(crate) fn with_scopes(event: Event) -> Result<Event, HookError> {
    let request: Request = event.request()?;
    let groups = request
        .group_configuration
        .and_then(|groups| groups.groups_to_override)
        .unwrap_or_default();
    event.answered(&Response {
        claims_and_scope_override_details: Overrides {
            access_token_generation: AccessToken {
                claims_to_add_or_override: Claims {
                    email: request.user_attributes.email,
                },
                scopes_to_add: scopes_of(groups.iter().map(String::as_str)),
            },
        },
    })
}
