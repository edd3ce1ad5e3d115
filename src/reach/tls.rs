//! TLS that reads: the handshake is done with anybody, and what was presented is written down.
//!
//! Verifying is left out on purpose. Nothing secret is sent, nothing received is trusted, and a certificate that is wrong is
//! just what is to be seen.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::capture::Tls;
use super::dial::{Stream, whole_ms};
use super::words;

/// A server's own certificate and a few above it.
const MAX_CERTIFICATES: usize = 8;
/// Each; the largest of a real server has a few hundred names.
const MAX_DER: usize = 32 * 1024;

/// Settings of a client that accepts every server.
pub(super) fn client() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Reader { schemes: provider.signature_verification_algorithms.supported_schemes() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Shakes hands; the stream if that worked, and what the server showed.
pub(super) async fn handshake(
    client: &Arc<ClientConfig>,
    stream: Box<dyn Stream>,
    host: &str,
    deadline: Duration,
) -> (Option<TlsStream<Box<dyn Stream>>>, Tls) {
    let begun = Instant::now();
    // For an address no name is sent; neither for what no certificate could name.
    let nobody = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
    let name = ServerName::try_from(host.to_owned()).unwrap_or(nobody);
    let failed = |text: &str| (None, Tls::Failed { words: words(text, 200) });
    match timeout(deadline, TlsConnector::from(Arc::clone(client)).connect(name, stream)).await {
        Err(_) => (None, Tls::Silent { words: format!("no answer to the handshake within {} s", deadline.as_secs()) }),
        Ok(Err(error)) => failed(&error.to_string()),
        Ok(Ok(stream)) => {
            let chain = pem(stream.get_ref().1.peer_certificates().unwrap_or_default());
            (Some(stream), Tls::Done { ms: whole_ms(begun.elapsed()), chain })
        }
    }
}

/// Whether a certificate's signatures lead to one of these CAs; both in PEM, the time in seconds since 1970. Names and dates are
/// judged elsewhere, and what this verifier is stricter in than Go's is no error here.
///
/// # Errors
/// In words, when they do not.
pub(crate) fn issued_by(chain: &str, authorities: &str, host: &str, now: i64) -> Result<(), String> {
    let of = |text: &str| CertificateDer::pem_slice_iter(text.as_bytes()).filter_map(Result::ok).collect::<Vec<_>>();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(of(authorities));
    let chain = of(chain);
    let (Some((leaf, above)), Ok(name)) = (chain.split_first(), ServerName::try_from(host)) else { return Ok(()) };
    let provider = Arc::new(ring::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return Ok(());
    };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or_default()));
    match verifier.verify_server_cert(leaf, above, &name, &[], now) {
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => Err("its issuer is another one".to_owned()),
        Err(Error::InvalidCertificate(CertificateError::BadSignature)) => Err("its signature is wrong".to_owned()),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn pem(chain: &[CertificateDer<'_>]) -> String {
    let fitting = chain.iter().take(MAX_CERTIFICATES).take_while(|der| der.len() <= MAX_DER);
    fitting.fold(String::new(), |mut out, der| {
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        for line in text.as_bytes().chunks(64) {
            let _ = writeln!(out, "{}", String::from_utf8_lossy(line));
        }
        out.push_str("-----END CERTIFICATE-----\n");
        out
    })
}

/// Accepts every certificate.
#[derive(Debug)]
struct Reader {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Reader {
    fn verify_server_cert(
        &self,
        _server: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _stapled: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
