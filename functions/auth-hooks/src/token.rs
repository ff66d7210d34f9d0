//! What an access token allows, and whose it is. The API reads `sub`, `email` and `scope` from it.

use std::collections::BTreeSet;

use access::{Role, Scope, scopes_of};
use serde::{Deserialize, Serialize};

use crate::{HookError, TriggerEvent, event::Grant};

/// Both the claim and the metadata which say that a session was begun with an authenticator's code.
const SECOND_FACTOR: &str = "totp";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    user_attributes: Attributes,
    group_configuration: Option<Groups>,
    #[serde(default)]
    client_metadata: Option<Metadata>,
}

/// What the frontend sends with the answer to a challenge, and with each renewal of a session.
#[derive(Deserialize)]
struct Metadata {
    second_factor: Option<String>,
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
    /// The frontend keeps it and sends it with the next renewal.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_factor: Option<&'static str>,
}

/// What the user is; a group that is no role allows nothing.
pub(crate) fn roles(event: &TriggerEvent) -> Result<Vec<Role>, HookError> {
    let request: Request = event.request()?;
    let groups = request.group_configuration;
    let groups = groups.and_then(|groups| groups.groups_to_override);
    let roles = groups.unwrap_or_default().into_iter();
    Ok(roles.filter_map(|group| group.parse().ok()).collect())
}

/// Whether this session was begun with a code, not whether the user has an authenticator now.
///
/// Only the frontend can send the metadata: it alone has the app client's secret.
pub(crate) fn was_begun_with_code(event: &TriggerEvent, grant: Grant) -> Result<bool, HookError> {
    let request: Request = event.request()?;
    let metadata = request.client_metadata.and_then(|it| it.second_factor);
    let says_so = metadata.as_deref() == Some(SECOND_FACTOR);
    Ok(says_so && matches!(grant, Grant::SignIn | Grant::Renewal))
}

/// The event with the access token's scopes, e-mail address, and how its session was begun.
pub(crate) fn with_scopes(
    event: TriggerEvent,
    roles: Vec<Role>,
    with_code: bool,
) -> Result<TriggerEvent, HookError> {
    let request: Request = event.request()?;
    event.answered(&Response {
        claims_and_scope_override_details: Overrides {
            access_token_generation: AccessToken {
                claims_to_add_or_override: Claims {
                    email: request.user_attributes.email,
                    second_factor: with_code.then_some(SECOND_FACTOR),
                },
                scopes_to_add: scopes_of(roles).into_iter().map(Scope::name).collect(),
            },
        },
    })
}
