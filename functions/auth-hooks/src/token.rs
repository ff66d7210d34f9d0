//! The claims and scopes of access tokens. The API reads `sub`, `email` and `scope`.

use std::collections::BTreeSet;

use access::{Role, Scope, scopes_of};
use serde::{Deserialize, Serialize};

use crate::{HookError, TriggerEvent, event::Grant};

/// The value of the claim and of the metadata for a session that began with an authenticator's
/// code.
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

/// The client metadata that the frontend sends with its response to a challenge, and with each
/// renewal of a session.
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

/// The response to version 2 of the event. It has no groups, so that the user's groups stay, and no
/// changes of the ID token.
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
    /// The frontend stores it and sends it with the next renewal.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_factor: Option<&'static str>,
}

/// The roles of the user's groups. Groups that are not roles are left out.
pub(crate) fn roles(event: &TriggerEvent) -> Result<Vec<Role>, HookError> {
    let request: Request = event.request()?;
    let groups = request.group_configuration;
    let groups = groups.and_then(|groups| groups.groups_to_override);
    let roles = groups.unwrap_or_default().into_iter();
    Ok(roles.filter_map(|group| group.parse().ok()).collect())
}

/// Whether this session began with a code. Not whether the user has an authenticator now.
///
/// Only the frontend can send the metadata: it alone has the app client's secret.
pub(crate) fn began_with_code(event: &TriggerEvent, grant: Grant) -> Result<bool, HookError> {
    let request: Request = event.request()?;
    let metadata = request.client_metadata.and_then(|it| it.second_factor);
    let names_code = metadata.as_deref() == Some(SECOND_FACTOR);
    Ok(names_code && matches!(grant, Grant::SignIn | Grant::Renewal))
}

/// Adds the access token's scopes, the e-mail address, and whether its session began with a code.
pub(crate) fn with_scopes(
    event: TriggerEvent,
    roles: Vec<Role>,
    with_code: bool,
) -> Result<TriggerEvent, HookError> {
    let request: Request = event.request()?;
    event.with_response(&Response {
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
