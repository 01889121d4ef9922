//! PEM files: certificates, keys, trusted certificates.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject},
    },
};

use crate::error::LoadError;

/// The largest file read, in bytes. The trusted certificates of a whole operating system are a quarter of it.
const FILE_LEN_MAX: u64 = 1024 * 1024;

/// A certificate that we show, and the key that proves it ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, then those that lead from it towards a trusted one; PEM.
    pub certificate: PathBuf,
    /// Its private key, not encrypted; PEM, as PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

impl Identity {
    pub(crate) fn load(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), LoadError> {
        Ok((certificates(&self.certificate)?, key(&self.key)?))
    }

    /// Says of an error of rustls about certificate and key together whose it is.
    pub(crate) fn blame(&self, error: &rustls::Error) -> LoadError {
        match error {
            rustls::Error::InconsistentKeys(_) => {
                let what = format!("the key does not belong to the certificate in {}", self.certificate.display());
                content(&self.key, what)
            }
            rustls::Error::InvalidCertificate(reason) => content(&self.certificate, reason.to_string()),
            _ => content(&self.key, "the key is damaged or of a kind that is not supported"),
        }
    }
}

/// All certificates of a file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let pem = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| content(path, describe(&error)))?;
    if found.is_empty() {
        return Err(content(path, "no certificate in it (BEGIN CERTIFICATE)"));
    }
    Ok(found)
}

/// The certificates of a file, to be trusted.
pub(crate) fn roots(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), LoadError> {
    let found = certificates(path)?;
    let mut store = RootCertStore::empty();
    for (place, certificate) in (1..).zip(&found) {
        store
            .add(certificate.clone())
            .map_err(|error| content(path, format!("certificate {place} in it cannot be trusted: {error}")))?;
    }
    Ok((store, found))
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, LoadError> {
    let pem = read(path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        PemError::NoItemsFound if is_encrypted(&pem) => {
            content(path, "the private key is encrypted; decrypt it (openssl pkey -in … -out …)")
        }
        PemError::NoItemsFound => content(path, "no private key in it (BEGIN PRIVATE KEY)"),
        error => content(path, describe(&error)),
    })
}

fn is_encrypted(pem: &[u8]) -> bool {
    const LABEL: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
    pem.windows(LABEL.len()).any(|part| part == LABEL)
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes))
        .map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(content(path, format!("more than {FILE_LEN_MAX} bytes")));
    }
    Ok(bytes)
}

/// What is wrong with a file, without the lines that the library would quote.
fn describe(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "damaged PEM: a section has no end",
        PemError::IllegalSectionStart { .. } => "damaged PEM: a section begins with an impossible line",
        PemError::Base64Decode(_) => "damaged PEM: not base64",
        _ => "damaged PEM",
    }
}

pub(crate) fn content(path: &Path, what: impl Into<String>) -> LoadError {
    LoadError::Content { path: path.to_owned(), what: what.into() }
}
