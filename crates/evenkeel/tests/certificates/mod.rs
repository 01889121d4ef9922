//! Certificates made for a test, in files that servers and psql may read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use testkit::{Install, Result};

/// What a certificate is like.
pub(crate) struct Wish {
    name: &'static str,
    /// The year in which it ends, on the first day.
    until: i32,
}

/// For where everything in these tests runs.
pub(crate) const GOOD: Wish = Wish { name: "127.0.0.1", until: 2100 };
/// For another place.
pub(crate) const STRANGE: Wish = Wish { name: "elsewhere.test", until: 2100 };
/// No longer valid.
pub(crate) const EXPIRED: Wish = Wish { name: "127.0.0.1", until: 2001 };

/// An authority with a folder of its own; its own certificate is `ca.crt`.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let folder = Install::from_env()?.folder("tls")?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, folder.path().display().to_string());
        fs::write(folder.path().join("ca.crt"), params.self_signed(&key)?.pem())?;
        let authority = Self { folder, issuer: Issuer::new(params, key) };
        authority.give()?;
        Ok(authority)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a certificate and its key: `name.crt`, `name.key`.
    pub(crate) fn issue(&self, name: &str, wish: &Wish) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([wish.name.to_owned()])?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(wish.until, 1, 1);
        fs::write(self.file(&format!("{name}.crt")), params.signed_by(&key, &self.issuer)?.pem())?;
        let key_file = self.file(&format!("{name}.key"));
        fs::write(&key_file, key.serialize_pem())?;
        // PostgreSQL and libpq refuse keys that others may read.
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600))?;
        self.give()
    }

    /// Everything belongs to the account that servers run as.
    fn give(&self) -> Result<()> {
        Install::from_env()?.give(self.folder.path())
    }
}
