//! How the platform is reached, and whose certificates are trusted.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use url::Url;

use crate::{
    hidden,
    storage::small_file::{self, Links, Unreadable},
};

/// All authorities of the world are a few hundred KiB.
const FILE_BYTES: u64 = 16 << 20;

/// How the platform is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The proxy on the way, if there is one.
    pub proxy: Option<Proxy>,
    /// Whose certificates are trusted.
    pub trust: Trust,
}

/// A proxy, and where it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    setting: String,
    address: Url,
}

impl Proxy {
    /// The proxy at `address`, of which the operator hears as that of `setting`.
    #[must_use]
    pub fn new(setting: String, address: Url) -> Self {
        if let Some(password) = address.password() {
            hidden::hide(password);
        }
        Self { setting, address }
    }

    /// The setting that names it, as the operator spelled it.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// Where it is, with its user and password, for the connection and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &Url {
        &self.address
    }

    /// Whether it is spoken to over TLS itself.
    #[must_use]
    pub fn is_over_tls(&self) -> bool {
        self.address.scheme() == "https"
    }
}

/// Host and port.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.address.host_str().unwrap_or_default();
        write!(f, "{host}:{}", self.address.port_or_known_default().unwrap_or_default())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self} of {})", self.setting)
    }
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those in these places, at least one of which holds some.
    Named {
        /// A file in PEM.
        file: Option<PathBuf>,
        /// Directories of such files.
        directories: Vec<PathBuf>,
    },
    /// The system's.
    #[default]
    System,
    /// The system's, although a variable that libraries look at is there and blank.
    SystemDespiteBlanks,
}

impl Trust {
    /// The certificates that can be used, read anew; none if they have to be looked up by a library.
    #[must_use]
    pub fn certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        let (file, directories) = match self {
            Self::Named { file, directories } => (file.clone(), directories.clone()),
            Self::System => return None,
            // There the libraries do not look at variables.
            Self::SystemDespiteBlanks if cfg!(target_os = "macos") => return None,
            Self::SystemDespiteBlanks => {
                let found = openssl_probe::probe();
                (found.cert_file, found.cert_dir)
            }
        };
        let listed = directories.iter().flat_map(|directory| files_in(directory).unwrap_or_default());
        let files = file.into_iter().chain(listed);
        Some(files.flat_map(|path| certificates_in(&path).unwrap_or_default()).collect())
    }
}

/// The entries of a directory, sorted.
///
/// # Errors
/// When it cannot be read.
pub fn files_in(directory: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let entries = fs::read_dir(directory).map_err(small_file::unreadable)?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    Ok(files)
}

/// The certificates in a file that can be used; what else is in it is passed over.
///
/// # Errors
/// When the file cannot be read.
pub fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unreadable> {
    let file = small_file::read(path, FILE_BYTES, Links::Followed)?;
    let mut store = RootCertStore::empty();
    let readable = CertificateDer::pem_slice_iter(&file.bytes).filter_map(Result::ok);
    Ok(readable.filter(|certificate| store.add(certificate.clone()).is_ok()).collect())
}
