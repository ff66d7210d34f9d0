//! What Cognito sends and wants back: one event, of which all but the answer is returned as it came.
//!
//! The ready-made types for these events drop the fields that they do not know and write out those
//! that are not set, among them an empty list of groups that would replace the user's. Hence an
//! envelope of our own, from which each trigger reads what it needs.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{HookError, message::Occasion};

/// An event of a user pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerEvent {
    trigger_source: String,
    #[serde(default)]
    user_pool_id: String,
    #[serde(default)]
    user_name: String,
    #[serde(default)]
    request: Value,
    #[serde(default)]
    response: Value,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What happened in the user pool, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// Someone is about to become a user.
    SignUp,
    /// Someone has become a user.
    Confirmed,
    /// A user has replaced a forgotten password.
    PasswordReset,
    /// A user's tokens are about to be issued.
    Token(Grant),
    /// A message is about to be sent.
    Message(Occasion),
    /// Nothing that needs an answer.
    Other,
}

/// What tokens are issued for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// A sign-in. Its event has client metadata only if the user answered a challenge: Cognito
    /// passes on that of `RespondToAuthChallenge` and not that of `InitiateAuth`.
    SignIn,
    /// Another access token of a session. The metadata is that of `GetTokensFromRefreshToken`.
    Renewal,
    /// A way to sign in that this shop does not offer, or a first password: never with a code.
    Other,
}

impl Trigger {
    fn of(source: &str) -> Self {
        match source {
            "PreSignUp_SignUp" | "PreSignUp_AdminCreateUser" | "PreSignUp_ExternalProvider" => {
                Self::SignUp
            }
            "PostConfirmation_ConfirmSignUp" => Self::Confirmed,
            "PostConfirmation_ConfirmForgotPassword" => Self::PasswordReset,
            "TokenGeneration_Authentication" => Self::Token(Grant::SignIn),
            "TokenGeneration_RefreshTokens" => Self::Token(Grant::Renewal),
            "TokenGeneration_HostedAuth"
            | "TokenGeneration_NewPasswordChallenge"
            | "TokenGeneration_AuthenticateDevice" => Self::Token(Grant::Other),
            "CustomMessage_SignUp" | "CustomMessage_ResendCode" => Self::Message(Occasion::SignUp),
            "CustomMessage_ForgotPassword" => Self::Message(Occasion::ForgotPassword),
            "CustomMessage_UpdateUserAttribute" | "CustomMessage_VerifyUserAttribute" => {
                Self::Message(Occasion::NewAddress)
            }
            "CustomMessage_AdminCreateUser" => Self::Message(Occasion::Invitation),
            "CustomMessage_Authentication" => Self::Message(Occasion::SignIn),
            _ => Self::Other,
        }
    }
}

impl TriggerEvent {
    pub(crate) fn trigger(&self) -> Trigger {
        Trigger::of(&self.trigger_source)
    }

    pub(crate) fn user_pool_id(&self) -> &str {
        &self.user_pool_id
    }

    pub(crate) fn user_name(&self) -> &str {
        &self.user_name
    }

    /// What of the request the caller wants to know.
    pub(crate) fn request<T: DeserializeOwned>(&self) -> Result<T, HookError> {
        Ok(T::deserialize(&self.request)?)
    }

    /// The event with these fields in its response, beside those that Cognito put there.
    pub(crate) fn answered(mut self, answer: &impl Serialize) -> Result<Self, HookError> {
        let answer = serde_json::to_value(answer)?;
        match (&mut self.response, answer) {
            (Value::Object(response), Value::Object(answer)) => response.extend(answer),
            (response, answer) => *response = answer,
        }
        Ok(self)
    }

    /// The event as it came.
    pub(crate) fn unanswered(self) -> Self {
        tracing::info!(trigger = self.trigger_source, "trigger.ignored");
        self
    }
}
