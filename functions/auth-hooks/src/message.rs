//! The e-mails of the user pool, in the user's language.
//!
//! They contain no text from a user: anyone can sign up with another person's address, and could
//! otherwise write to them in the shop's name. So nothing needs escaping either.

use orders::catalogue::Language;
use serde::{Deserialize, Serialize};

use crate::{HookError, TriggerEvent};

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Someone signed up, or asked for the code again.
    SignUp,
    /// Someone forgot the password.
    ForgotPassword,
    /// Someone signed up with the address of an account that is confirmed.
    SignUpAgain,
    /// A user requested another e-mail address. The message goes to the present one.
    AddressChange,
    /// A user has to confirm a new e-mail address.
    NewAddress,
    /// An administrator created an account for someone.
    Invitation,
    /// A user signs in with a code.
    SignIn,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    user_attributes: Locale,
    #[serde(default)]
    client_metadata: Option<Metadata>,
    /// The placeholder that Cognito replaces with the code, or in an invitation with the password.
    code_parameter: String,
    /// The placeholder for the user's name, only in an invitation.
    username_parameter: Option<String>,
}

#[derive(Default, Deserialize)]
struct Locale {
    locale: Option<String>,
}

/// The client metadata that the frontend sends with the call that triggers the message.
#[derive(Default, Deserialize)]
struct Metadata {
    locale: Option<String>,
    /// Why the code was requested, if the call does not show it.
    occasion: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    email_subject: &'static str,
    email_message: String,
}

/// Adds the message to the event.
pub(crate) fn write(event: TriggerEvent, occasion: Occasion) -> Result<TriggerEvent, HookError> {
    let request: Request = event.request()?;
    let occasion = request.occasion(occasion);
    let language = request.language();
    let text = text(occasion, language);
    event.with_response(&Response {
        email_subject: text.subject,
        email_message: request.body(occasion, language, &text),
    })
}

impl Request {
    /// The occasion that the message describes.
    ///
    /// The frontend requests a code for a new password in two more cases, and names them in the
    /// metadata. After a sign-up with the address of an account, so that its page does not reveal
    /// the account. After a request to change the address, because that is the only message to the
    /// present address, and its code lets the owner lock a thief out.
    fn occasion(&self, of_trigger: Occasion) -> Occasion {
        let metadata = self.client_metadata.as_ref();
        let named = metadata.and_then(|metadata| metadata.occasion.as_deref());
        match (of_trigger, named) {
            (Occasion::ForgotPassword, Some("sign-up")) => Occasion::SignUpAgain,
            (Occasion::ForgotPassword, Some("address-change")) => Occasion::AddressChange,
            _ => of_trigger,
        }
    }

    /// The language of the user's profile, else that of the page, else English.
    fn language(&self) -> Language {
        let chosen = self.user_attributes.locale.as_deref();
        let shown = self.client_metadata.as_ref();
        let shown = shown.and_then(|metadata| metadata.locale.as_deref());
        let locale = chosen.filter(|it| !it.is_empty()).or(shown);
        match locale.and_then(|locale| locale.get(..2)) {
            Some(code) if code.eq_ignore_ascii_case("es") => Language::Es,
            _ => Language::En,
        }
    }

    fn body(&self, occasion: Occasion, language: Language, text: &Text) -> String {
        let account = match (occasion, &self.username_parameter) {
            (Occasion::Invitation, Some(name)) => format!("<p>{}: {name}</p>", text.account),
            _ => String::new(),
        };
        format!(
            "<!doctype html><html lang=\"{lang}\"><body>\
             <p>{lead}</p>{account}<p><strong>{code}</strong></p><p>{end}</p><p>Cauce</p>\
             </body></html>",
            lang = language.code(),
            lead = text.lead,
            code = self.code_parameter,
            end = text.end,
        )
    }
}

/// The texts of one message, in HTML except for the subject.
struct Text {
    subject: &'static str,
    /// The text before the code.
    lead: &'static str,
    /// The label of the user's name.
    account: &'static str,
    /// The text after the code.
    end: &'static str,
}

fn text(occasion: Occasion, language: Language) -> Text {
    let (subject, lead, end) = match language {
        Language::En => in_english(occasion),
        Language::Es => in_spanish(occasion),
    };
    let account = match language {
        Language::En => "Your user name",
        Language::Es => "Tu nombre de usuario",
    };
    Text {
        subject,
        lead,
        account,
        end,
    }
}

const fn in_english(occasion: Occasion) -> (&'static str, &'static str, &'static str) {
    match occasion {
        Occasion::SignUp => (
            "Your code for Cauce",
            "Welcome to Cauce. Enter this code to confirm your e-mail address:",
            "If you did not sign up, do nothing: without the code there is no account.",
        ),
        Occasion::ForgotPassword => (
            "A new password for Cauce",
            "Enter this code to choose a new password:",
            "If you did not ask for it, do nothing: your password stays as it is.",
        ),
        Occasion::SignUpAgain => (
            "You have an account at Cauce",
            "Someone signed up at Cauce with your e-mail address, but you have an account already. \
             If it was you, sign in. If you forgot your password, choose a new one with this code:",
            "If it was not you, do nothing: your account stays as it is.",
        ),
        Occasion::AddressChange => (
            "Your e-mail address at Cauce is being changed",
            "Someone who knows your password asked to change the e-mail address of your account. If it was you, \
             do nothing. If not, choose “Forgotten your password?” on the sign-in page and a new password with this code:",
            "A new password signs everyone out. The address changes once the new one is confirmed.",
        ),
        Occasion::NewAddress => (
            "Confirm your e-mail address for Cauce",
            "Enter this code to confirm your new e-mail address:",
            "If you did not change your address, do nothing: without the code it is not confirmed.",
        ),
        Occasion::Invitation => (
            "Your account at Cauce",
            "You have an account at Cauce. Sign in with this temporary password:",
            "You will be asked to choose a password of your own.",
        ),
        Occasion::SignIn => (
            "Your sign-in code for Cauce",
            "Enter this code to sign in:",
            "If you are not signing in, someone may know your password: please change it.",
        ),
    }
}

const fn in_spanish(occasion: Occasion) -> (&'static str, &'static str, &'static str) {
    match occasion {
        Occasion::SignUp => (
            "Tu código de Cauce",
            "Te damos la bienvenida a Cauce. Escribe este código para confirmar tu correo:",
            "Si no te has registrado, no hagas nada: sin el código no hay cuenta.",
        ),
        Occasion::ForgotPassword => (
            "Una nueva contraseña para Cauce",
            "Escribe este código para elegir una nueva contraseña:",
            "Si no la has pedido, no hagas nada: tu contraseña sigue siendo la misma.",
        ),
        Occasion::SignUpAgain => (
            "Ya tienes una cuenta en Cauce",
            "Alguien se ha registrado en Cauce con tu correo, pero ya tienes una cuenta. Si has sido \
             tú, entra con ella. Si olvidaste la contraseña, elige otra con este código:",
            "Si no has sido tú, no hagas nada: tu cuenta sigue como está.",
        ),
        Occasion::AddressChange => (
            "Tu correo en Cauce está a punto de cambiar",
            "Alguien que sabe tu contraseña ha pedido cambiar el correo de tu cuenta. Si has sido tú, no hagas nada. \
             Si no, elige «¿Has olvidado la contraseña?» en la página de entrada y una nueva con este código:",
            "Una contraseña nueva cierra todas las sesiones. El correo cambia cuando se confirma el nuevo.",
        ),
        Occasion::NewAddress => (
            "Confirma tu correo en Cauce",
            "Escribe este código para confirmar tu nuevo correo:",
            "Si no has cambiado de correo, no hagas nada: sin el código no queda confirmado.",
        ),
        Occasion::Invitation => (
            "Tu cuenta en Cauce",
            "Tienes una cuenta en Cauce. Entra con esta contraseña temporal:",
            "Te pediremos que elijas tu propia contraseña.",
        ),
        Occasion::SignIn => (
            "Tu código para entrar en Cauce",
            "Escribe este código para entrar:",
            "Si no estás entrando, puede que alguien sepa tu contraseña: cámbiala, por favor.",
        ),
    }
}
