//! The certificate authorities that our clients trust: the public ones. They are compiled in, because reading the
//! machine's takes longer than everything else at a cold start.

use rustls::{ClientConfig, RootCertStore};

/// The authorities that vouch for AWS's own services, as PEM: Amazon Trust Services.
///
/// By <https://www.amazontrust.com/repository/>.
pub const AWS_AUTHORITIES: &str = include_str!("aws-authorities.pem");

/// For connections that show nothing of their own.
pub fn client_config() -> ClientConfig {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let config =
        ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions();
    match config {
        Ok(config) => config.with_root_certificates(roots).with_no_client_auth(),
        Err(never) => unreachable!("the provider's own versions suit it: {never}"),
    }
}
