//! Cognito's triggers: who may sign up, which group a new user is in, what a token allows, and what
//! the e-mails say. Cognito keeps the users; nothing is stored here.

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

/// Why a trigger gives no answer. Cognito fails what the user asked for, and shows this text.
#[derive(Debug, Error)]
pub enum HookError {
    /// The user may not sign up like this.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Cognito did not send what it documents.
    #[error("the sign-in service sent something unexpected; please try again later")]
    Malformed(#[from] serde_json::Error),
    /// Cognito did not tell how the user signs in.
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

/// Answers Cognito's triggers.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// Where the users are.
    pub cognito: Client,
    /// Whether who signs up is confirmed at once, without a code by e-mail.
    pub auto_confirm: bool,
    /// Whether staff have to sign in with a code from an authenticator.
    pub require_staff_totp: bool,
}

/// What Cognito calls a code from an authenticator.
const TOTP: &str = "SOFTWARE_TOKEN_MFA";

/// Whose account it is. Only what may stand in a log.
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
    /// The event with its answer in it, as Cognito wants it back.
    pub async fn handle(&self, event: TriggerEvent) -> Result<TriggerEvent, HookError> {
        match event.trigger() {
            Trigger::SignUp => sign_up::check(event, self.auto_confirm),
            Trigger::Confirmed => self.welcome(event).await,
            Trigger::PasswordReset => self.end_sessions(event).await,
            Trigger::Token(grant) => self.allow(event, grant).await,
            Trigger::Message(occasion) => message::write(event, occasion),
            Trigger::Other => Ok(event.unanswered()),
        }
        .inspect_err(|error| tracing::warn!(?error, "trigger.failed"))
    }

    /// Grants what the user's roles may do; only a shopper's scopes, if staff need a second factor
    /// and this session was not begun with one.
    ///
    /// The user must also still have the authenticator: a session that was begun with one that is
    /// gone loses its staff scopes at the next renewal.
    async fn allow(&self, event: TriggerEvent, grant: Grant) -> Result<TriggerEvent, HookError> {
        let mut roles = token::roles(&event)?;
        let with_code = token::was_begun_with_code(&event, grant)?;
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

    /// Puts a newly confirmed user among the shoppers.
    ///
    /// Never fails: the user is confirmed already and could not repeat it, and a token is a
    /// shopper's even without the group.
    async fn welcome(&self, event: TriggerEvent) -> Result<TriggerEvent, HookError> {
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

    /// Ends the sessions that were begun with the old password: a thief of it may hold one.
    ///
    /// Never fails: the password is changed already, and its code cannot be sent again.
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
