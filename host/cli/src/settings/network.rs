//! How the platform is reached.

use molecule_runtime::network::Network;
use url::Url;

use super::{environment::Environment, proxy, trust};

/// Reads how `platform` is reached.
pub(super) fn read(environment: &mut Environment<'_>, platform: Option<&Url>) -> Network {
    Network {
        proxy: platform.and_then(|platform| proxy::read(environment, platform)),
        trust: trust::read(environment),
    }
}
