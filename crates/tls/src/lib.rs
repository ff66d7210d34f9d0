//! The certificate authorities that our clients trust. They are compiled in, because reading the
//! machine's authorities takes longer than all other work of a cold start.

use rustls::{ClientConfig, RootCertStore};

/// The certificate authorities of AWS's services, as PEM: Amazon Trust Services.
///
/// Source: <https://www.amazontrust.com/repository/>.
pub const AWS_AUTHORITIES: &str = include_str!("aws-authorities.pem");

/// Returns a client configuration that trusts the public authorities, without a client certificate.
pub fn client_config() -> ClientConfig {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let config =
        ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions();
    match config {
        Ok(config) => config.with_root_certificates(roots).with_no_client_auth(),
        Err(never) => unreachable!("the provider supports the safe default versions: {never}"),
    }
}
