//! What the machine gives the program.

use std::fs::File;

use rustix::process::{Resource, getrlimit};

use super::{
    Found,
    catalog::{ADDRESS_SPACE_SMALL, COMPONENT_REFUSED, DESCRIPTORS_FEW, SYSTEM_GIVES},
};
use crate::system;

/// The component reserves a part of it; less works on most machines, and not on all.
const ADDRESS_SPACE_BYTES: u64 = 1 << 30;

pub(super) async fn look() -> Vec<Found> {
    let mut found = Vec::new();
    if let Err(cause) = File::open("/dev/null").and_then(system::has_descriptors) {
        found.push(DESCRIPTORS_FEW.seen(cause.to_string()));
    }
    let space = getrlimit(Resource::As).current;
    if let Some(bytes) = space.filter(|bytes| *bytes < ADDRESS_SPACE_BYTES) {
        found.push(ADDRESS_SPACE_SMALL.seen(format!("{} MiB of address space", bytes >> 20)));
    }
    if let Err(cause) = molecule_runtime::inspect::component().await {
        found.push(COMPONENT_REFUSED.seen(format!("{cause:#}")));
    }
    if found.is_empty() {
        let files = getrlimit(Resource::Nofile).current;
        let files = files.map_or_else(|| "any number of".to_owned(), |count| count.to_string());
        found.push(SYSTEM_GIVES.seen(format!("{files} open files, and the component runs")));
    }
    found
}
