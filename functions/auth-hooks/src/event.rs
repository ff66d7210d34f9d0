//! The event of Cognito's triggers. A trigger fills in the response, and returns the rest
//! unchanged.
//!
//! It is not a type of `aws_lambda_events`: those drop fields that they do not know, and serialize
//! unset ones, such as an empty list of groups, which would replace the user's groups.

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

/// The kind of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// Before a user is created.
    SignUp,
    /// After a new user has confirmed the e-mail address.
    Confirmed,
    /// After a user has replaced a forgotten password.
    PasswordReset,
    /// Before tokens are issued.
    Token(Grant),
    /// Before a message is sent.
    Message(Occasion),
    /// A trigger that needs no response.
    Other,
}

/// What tokens are issued for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// A sign-in. Its event has client metadata only if the user answered a challenge: Cognito
    /// passes the metadata of `RespondToAuthChallenge`, but not that of `InitiateAuth`.
    SignIn,
    /// The renewal of a session's access token, with the metadata of `GetTokensFromRefreshToken`.
    Renewal,
    /// A sign-in that this shop does not offer, or with a first password. Never with a code.
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

    /// Deserializes the request.
    pub(crate) fn request<T: DeserializeOwned>(&self) -> Result<T, HookError> {
        Ok(T::deserialize(&self.request)?)
    }

    /// Adds the fields to the event's response. The other fields that Cognito set stay.
    pub(crate) fn with_response(mut self, fields: &impl Serialize) -> Result<Self, HookError> {
        let fields = serde_json::to_value(fields)?;
        match (&mut self.response, fields) {
            (Value::Object(response), Value::Object(fields)) => response.extend(fields),
            (response, fields) => *response = fields,
        }
        Ok(self)
    }

    /// Returns the event unchanged.
    pub(crate) fn ignore(self) -> Self {
        tracing::info!(trigger = self.trigger_source, "trigger.ignored");
        self
    }
}
