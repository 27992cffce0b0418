//! Whose certificates are trusted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::environment::Environment;
use crate::{
    env::{self, Variable},
    small_file::{self, Links, Unreadable},
};

/// All authorities of the world are a few hundred KiB.
const FILE_BYTES: u64 = 16 << 20;

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

/// Reads what the operator trusts, and looks whether it can be used.
pub(super) fn read(environment: &mut Environment<'_>) -> Trust {
    let file = environment.path(&env::SSL_CERT_FILE);
    let directories = environment.paths(&env::SSL_CERT_DIR);
    if file.is_none() && directories.is_empty() {
        let blank = environment.is_there(&env::SSL_CERT_FILE) || environment.is_there(&env::SSL_CERT_DIR);
        return if blank { Trust::SystemDespiteBlanks } else { Trust::System };
    }
    if let Some(path) = &file {
        refuse(environment, &env::SSL_CERT_FILE, path, file_is_useless(path));
    }
    for path in &directories {
        refuse(environment, &env::SSL_CERT_DIR, path, directory_is_useless(path));
    }
    Trust::Named { file, directories }
}

fn refuse(environment: &mut Environment<'_>, variable: &'static Variable, path: &Path, why: Option<String>) {
    if let Some(why) = why {
        let shown = path.to_string_lossy().escape_debug().to_string();
        environment.unusable(variable, format!("{}: {shown} {why}", variable.name));
    }
}

fn file_is_useless(path: &Path) -> Option<String> {
    if path.is_dir() {
        return Some("is a directory; a directory of certificates belongs into SSL_CERT_DIR".to_owned());
    }
    match certificates_in(path) {
        Ok(certificates) if certificates.is_empty() => {
            Some("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned())
        }
        Ok(_) => None,
        Err(why) => Some(why.to_string()),
    }
}

fn directory_is_useless(path: &Path) -> Option<String> {
    if path.is_file() {
        return Some("is a file; a file of certificates belongs into SSL_CERT_FILE".to_owned());
    }
    match files_in(path) {
        Ok(files) => {
            let is_useful = |path: &PathBuf| certificates_in(path).is_ok_and(|found| !found.is_empty());
            (!files.iter().any(is_useful)).then(|| "has no file that holds a certificate in PEM".to_owned())
        }
        Err(why) => Some(why.to_string()),
    }
}

fn files_in(directory: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let entries = fs::read_dir(directory).map_err(small_file::unreadable)?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    Ok(files)
}

/// The certificates in a file that can be used; what else is in it is passed over.
fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unreadable> {
    let file = small_file::read(path, FILE_BYTES, Links::Followed)?;
    let mut store = RootCertStore::empty();
    let readable = CertificateDer::pem_slice_iter(&file.bytes).filter_map(Result::ok);
    Ok(readable.filter(|certificate| store.add(certificate.clone()).is_ok()).collect())
}
