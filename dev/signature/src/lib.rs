//! Signs requests to the AWS emulator with the credentials of the account's owner. For programs
//! with too few calls to need an AWS SDK.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        SignableBody, SignableRequest, SigningError, SigningParams, SigningSettings, sign,
    },
    sign::v4,
};
use thiserror::Error;

/// The emulator's region, independent of the machine's configuration.
pub const REGION: &str = "us-east-1";

/// The owner's access key id and secret access key.
pub const ACCESS_KEY: (&str, &str) = ("test", "test");

/// Why a request cannot be signed.
#[derive(Debug, Error)]
pub enum SignatureError {
    /// A parameter of the signature is missing.
    #[error(transparent)]
    Incomplete(#[from] v4::signing_params::BuildError),
    /// The request is malformed.
    #[error(transparent)]
    Malformed(#[from] SigningError),
}

/// Returns the headers that sign a request to `service`, such as `sqs`.
pub fn sign_headers(
    service: &str,
    method: &str,
    url: &str,
    body: &str,
) -> Result<Vec<(String, String)>, SignatureError> {
    let (id, secret) = ACCESS_KEY;
    let identity = Credentials::new(id, secret, None, None, "laptop").into();
    let params: SigningParams<'_> = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let body = SignableBody::Bytes(body.as_bytes());
    let request = SignableRequest::new(method, url, std::iter::empty(), body)?;
    let (instructions, _) = sign(request, &params)?.into_parts();
    let headers = instructions.headers();
    Ok(headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_signed_for_its_service() {
        let headers = sign_headers("sqs", "POST", "http://127.0.0.1:4566/", "{}").unwrap();
        let (_, authorization) = headers
            .iter()
            .find(|(name, _)| name == "authorization")
            .unwrap();
        assert!(authorization.contains("/us-east-1/sqs/aws4_request"));
    }
}
