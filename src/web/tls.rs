//! TLS on the box itself: a certificate of its own making, kept in the data directory and renewed in time. Browsers warn of
//! it once; HTTP/2, and with it low latency on iPhones, comes with it.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::base::clock;

const DAY_MS: i64 = 86_400_000;
/// Browsers refuse certificates that are valid for longer than 398 days.
const VALID_DAYS: i64 = 397;
/// Made anew when less than this is left.
const RENEW_DAYS: i64 = 60;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the certificate cannot be read or written: {0}")]
    Io(#[from] io::Error),
    #[error("the certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("the certificate cannot be used: {0}")]
    Use(String),
}

/// The server's TLS settings, with the certificate in `data/tls`.
pub fn config(data: &Path) -> Result<ServerConfig, TlsError> {
    let folder = data.join("tls");
    let (certificate, key, until) =
        (folder.join("certificate.pem"), folder.join("key.pem"), folder.join("valid-until-ms"));
    let valid_until = std::fs::read_to_string(&until).ok().and_then(|text| text.trim().parse::<i64>().ok());
    if valid_until.is_none_or(|until| until - clock::wall_ms() < RENEW_DAYS * DAY_MS) {
        make(&folder)?;
    }
    // A power cut while it was written may have left half of it: another is as good.
    load(&certificate, &key).or_else(|_| {
        make(&folder)?;
        load(&certificate, &key)
    })
}

fn load(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let unusable = |error: &dyn std::fmt::Display| TlsError::Use(error.to_string());
    let certificates = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(&error))?;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| unusable(&error))
}

fn make(folder: &Path) -> Result<(), TlsError> {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned();
    let mut names = vec![String::from("localhost"), String::from("siaran.local"), String::from("127.0.0.1")];
    if !host.is_empty() {
        names.push(format!("{host}.local"));
        names.push(host);
    }
    let mut params = CertificateParams::new(names)?;
    let now = clock::wall_ms();
    // A clock that runs a day behind must not make it "not yet valid".
    params.not_before = day_of(now - DAY_MS);
    params.not_after = day_of(now + (VALID_DAYS - 1) * DAY_MS);
    params.distinguished_name.push(rcgen::DnType::CommonName, "siaran");
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    std::fs::create_dir_all(folder)?;
    write_private(&folder.join("key.pem"), &key.serialize_pem())?;
    std::fs::write(folder.join("certificate.pem"), certificate.pem())?;
    std::fs::write(folder.join("valid-until-ms"), (now + (VALID_DAYS - 1) * DAY_MS).to_string())?;
    Ok(())
}

fn day_of(wall_ms: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(wall_ms / 1000).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    // A file that exists keeps its mode: the old key goes first.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_private() {
        let data = tempfile::tempdir().unwrap();
        config(data.path()).unwrap();
        let read = || std::fs::read(data.path().join("tls/certificate.pem")).unwrap();
        let first = read();
        config(data.path()).unwrap();
        assert_eq!(first, read());
        let mode = std::fs::metadata(data.path().join("tls/key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn one_that_a_power_cut_left_empty_is_made_anew() {
        let data = tempfile::tempdir().unwrap();
        config(data.path()).unwrap();
        std::fs::write(data.path().join("tls/certificate.pem"), "").unwrap();
        config(data.path()).unwrap();
    }

    #[test]
    fn one_that_ends_soon_is_renewed() {
        let data = tempfile::tempdir().unwrap();
        config(data.path()).unwrap();
        let first = std::fs::read(data.path().join("tls/certificate.pem")).unwrap();
        std::fs::write(data.path().join("tls/valid-until-ms"), clock::wall_ms().to_string()).unwrap();
        config(data.path()).unwrap();
        assert_ne!(first, std::fs::read(data.path().join("tls/certificate.pem")).unwrap());
    }
}
