//! How the platform is reached.

use url::Url;

use super::{environment::Environment, proxy, proxy::Proxy, trust, trust::Trust};

/// How the platform is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The proxy on the way, if there is one.
    pub proxy: Option<Proxy>,
    /// Whose certificates are trusted.
    pub trust: Trust,
}

/// Reads how `platform` is reached.
pub(super) fn read(environment: &mut Environment<'_>, platform: Option<&Url>) -> Network {
    Network {
        proxy: platform.and_then(|platform| proxy::read(environment, platform)),
        trust: trust::read(environment),
    }
}
