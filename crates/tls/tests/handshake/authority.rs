//! Certificates made for a test.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tls::{Identity, Roots};

/// What a certificate is like.
pub(crate) struct Wish {
    pub(crate) names: &'static [&'static str],
    /// The year in which it ends, on the first day.
    pub(crate) until: i32,
}

pub(crate) const GOOD: Wish = Wish { names: &["db.test", "127.0.0.1"], until: 2100 };

/// An authority with a folder of its own.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.crt"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::File(self.path("ca.crt"))
    }

    /// A certificate and its key, in files of this name.
    pub(crate) fn issue(&self, name: &str, wish: &Wish) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params(wish).signed_by(&key, &self.issuer).unwrap();
        self.write(name, &certificate.pem(), &key.serialize_pem())
    }

    /// A certificate that signs itself, as `openssl req -x509` makes it: an authority's.
    pub(crate) fn self_signed(&self, name: &str, wish: &Wish) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(wish);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        self.write(name, &certificate.pem(), &key.serialize_pem())
    }

    pub(crate) fn write(&self, name: &str, certificate: &str, key: &str) -> Identity {
        let files = Identity { certificate: self.path(&format!("{name}.crt")), key: self.path(&format!("{name}.key")) };
        fs::write(&files.certificate, certificate).unwrap();
        fs::write(&files.key, key).unwrap();
        files
    }
}

fn params(wish: &Wish) -> CertificateParams {
    let names: Vec<_> = wish.names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(wish.until, 1, 1);
    params
}
