//! Cognito's triggers. They validate sign-ups, add new users to a group, add scopes to access
//! tokens, and write the e-mails. Nothing is stored here: Cognito has the users.

mod event;
mod message;
mod sign_up;
mod token;

use access::Role;
use aws_sdk_cognitoidentityprovider::{Client, error::DisplayErrorContext};
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use thiserror::Error;

use self::event::{Grant, Trigger};
pub use self::{event::TriggerEvent, sign_up::Refusal};

/// Why a trigger failed. Cognito then refuses the user's request, with this text.
#[derive(Debug, Error)]
pub enum HookError {
    /// The e-mail address is missing or not valid.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The event does not have the documented fields.
    #[error("the sign-in service sent something unexpected; please try again later")]
    Malformed(#[from] serde_json::Error),
    /// Cognito did not answer whether the user has an authenticator.
    #[error("the sign-in service is busy; please try again in a moment")]
    Unavailable(#[from] Box<aws_sdk_cognitoidentityprovider::Error>),
}

impl From<HookError> for Diagnostic {
    fn from(error: HookError) -> Self {
        let name = match error {
            HookError::Refused(_) => "Refused",
            HookError::Malformed(_) => "Malformed",
            HookError::Unavailable(_) => "Unavailable",
        };
        Self {
            error_type: name.to_owned(),
            error_message: error.to_string(),
        }
    }
}

/// The handler of Cognito's triggers.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// The client of the user pool.
    pub cognito: Client,
    /// Whether new users are confirmed at once, without a code by e-mail.
    pub auto_confirm: bool,
    /// Whether staff must sign in with a code from an authenticator.
    pub require_staff_totp: bool,
}

/// Cognito's name for codes from an authenticator.
const TOTP: &str = "SOFTWARE_TOKEN_MFA";

/// The request of a trigger after a confirmation. Only what may be logged is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Confirmed {
    user_attributes: Identity,
}

#[derive(Deserialize)]
struct Identity {
    sub: String,
}

impl Hooks {
    /// Handles a trigger. Returns the event with its response.
    pub async fn handle(&self, event: TriggerEvent) -> Result<TriggerEvent, HookError> {
        match event.trigger() {
            Trigger::SignUp => sign_up::check(event, self.auto_confirm),
            Trigger::Confirmed => self.add_to_shoppers(event).await,
            Trigger::PasswordReset => self.end_sessions(event).await,
            Trigger::Token(grant) => self.add_scopes(event, grant).await,
            Trigger::Message(occasion) => message::write(event, occasion),
            Trigger::Other => Ok(event.ignore()),
        }
        .inspect_err(|error| tracing::warn!(?error, "trigger.failed"))
    }

    /// Adds the scopes of the user's roles to the access token. If staff need a second factor and
    /// the session did not begin with one, only a shopper's scopes.
    ///
    /// The user must still have the authenticator: after it is reset, a session loses its staff
    /// scopes at the next renewal.
    async fn add_scopes(
        &self,
        event: TriggerEvent,
        grant: Grant,
    ) -> Result<TriggerEvent, HookError> {
        let mut roles = token::roles(&event)?;
        let with_code = token::began_with_code(&event, grant)?;
        let is_staff = roles.iter().any(|role| role.is_staff());
        let needs_code = is_staff && self.require_staff_totp;
        if needs_code && !(with_code && self.has_totp(&event).await?) {
            tracing::info!(user = event.user_name(), "token.second_factor_missing");
            roles.clear();
        }
        token::with_scopes(event, roles, with_code)
    }

    async fn has_totp(&self, event: &TriggerEvent) -> Result<bool, HookError> {
        let request = self
            .cognito
            .admin_get_user()
            .user_pool_id(event.user_pool_id())
            .username(event.user_name());
        let user = request
            .send()
            .await
            .map_err(|error| Box::new(error.into()))?;
        Ok(user.user_mfa_setting_list().iter().any(|it| it == TOTP))
    }

    /// Adds a newly confirmed user to the group of shoppers.
    ///
    /// An error of Cognito is only logged: the user is confirmed already and could not repeat it,
    /// and tokens have a shopper's scopes even without the group.
    async fn add_to_shoppers(&self, event: TriggerEvent) -> Result<TriggerEvent, HookError> {
        let Confirmed {
            user_attributes: Identity { sub },
        } = event.request()?;
        let added = self
            .cognito
            .admin_add_user_to_group()
            .user_pool_id(event.user_pool_id())
            .username(event.user_name())
            .group_name(Role::Shopper.group())
            .send()
            .await;
        match added {
            Ok(_) => tracing::info!(sub, "user.confirmed"),
            Err(error) => {
                tracing::error!(sub, error = %DisplayErrorContext(error), "user.group_missing");
            }
        }
        Ok(event)
    }

    /// Ends the sessions that began with the old password, which may be a thief's.
    ///
    /// An error of Cognito is only logged: the password is changed already, and its code is used
    /// up.
    async fn end_sessions(&self, event: TriggerEvent) -> Result<TriggerEvent, HookError> {
        let Confirmed {
            user_attributes: Identity { sub },
        } = event.request()?;
        let ended = self
            .cognito
            .admin_user_global_sign_out()
            .user_pool_id(event.user_pool_id())
            .username(event.user_name())
            .send()
            .await;
        match ended {
            Ok(_) => tracing::info!(sub, "user.password_reset"),
            Err(error) => {
                tracing::error!(sub, error = %DisplayErrorContext(error), "user.sessions_not_ended");
            }
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests;
