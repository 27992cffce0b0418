//! Whose certificates are trusted.

use std::path::{Path, PathBuf};

use molecule_runtime::network::{Trust, certificates_in, files_in};

use super::environment::Environment;
use crate::env::{self, Variable};

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
        let name = environment.name_of(variable);
        environment.unusable(variable, format!("{name}: {shown} {why}"));
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
