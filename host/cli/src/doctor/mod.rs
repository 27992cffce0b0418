//! What `molecule-mcp doctor` does: looks at everything between an agent and its messages.
//!
//! ```text
//! settings ──► system, directory, processes, inbox, start ──┐  side by side, each
//!    └──────► network ──► platform ──► identity, events ────┴─ within its limit ──► Report
//! ```
//!
//! Nothing is changed on the platform but the time of the latest heartbeat.

pub mod catalog;
mod directory;
mod identity;
mod inbox;
mod platform;
mod processes;
mod report;
mod settings;
mod start;
mod system;

use std::{ffi::OsString, future::Future, path::PathBuf, sync::Arc, time::Duration};

use futures::future::join_all;
use molecule_runtime::{
    config::Config,
    inspect::Place,
    ports::NativePorts,
    status::{Asked, ask_all},
};
use tokio::time::timeout;

use self::catalog::UNFINISHED;
pub use self::report::{Found, Report};
use crate::settings as configured;

/// No area takes longer, whatever the network and the disk do.
const AT_THE_LATEST: Duration = Duration::from_millis(9_000);

/// What the doctor is given.
pub struct Patient {
    /// Looks up a variable of the environment.
    pub variable: fn(&str) -> Option<OsString>,
    /// The names of all variables of the environment.
    pub names: Vec<String>,
    /// The home directory of the user.
    pub home: Option<PathBuf>,
    /// The program, to start it as a client does; none if it is not to be started.
    pub program: Option<PathBuf>,
}

/// What the areas look at.
struct Scene {
    /// None if the settings cannot be used.
    config: Option<Config>,
    /// Powers made from the settings; nothing is opened before it is used.
    ports: Option<Arc<NativePorts>>,
    /// Where inboxes are, also without a token.
    places: Vec<Place>,
    directory: Option<PathBuf>,
    processes: Vec<Asked>,
    program: Option<PathBuf>,
}

impl Scene {
    /// The id of a workspace where there are several.
    fn named<'a>(&self, id: &'a str) -> Option<&'a str> {
        (self.places.len() > 1).then_some(id)
    }
}

/// Looks at everything, within 10 s.
pub async fn examine(patient: Patient) -> Report {
    let mut found = settings::look(&patient);
    let config = configured::Settings::from_env(patient.variable).ok();
    let config = config.map(|settings| settings.config(patient.home.clone()));
    let directory = configured::state_directory(patient.variable).ok().flatten();
    let processes = match &directory {
        Some(directory) => ask_all(directory).await,
        None => Vec::new(),
    };
    let scene = Scene {
        ports: config.as_ref().map(|config| Arc::new(NativePorts::new(config))),
        config,
        places: configured::places(patient.variable).unwrap_or_default(),
        directory,
        processes,
        program: patient.program,
    };
    let (system, directory, processes, inbox, start, platform) = tokio::join!(
        in_time("the system", system::look()),
        in_time("the directory for state", directory::look(&scene)),
        in_time("running programs", async { processes::look(&scene) }),
        in_time("the inbox", inbox::look(&scene)),
        in_time("a start", start::look(&scene)),
        platform(&scene),
    );
    for more in [system, directory, processes, inbox, start, platform] {
        found.extend(more);
    }
    Report::new(found)
}

/// Network, platform, identity and events of each platform and workspace: without the first there is no other.
async fn platform(scene: &Scene) -> Vec<Found> {
    let Some(ports) = &scene.ports else { return Vec::new() };
    let lines = ports.lines().iter();
    let looks = lines.map(|line| async move {
        let mut found = Vec::new();
        // What was found until then stays.
        let looked = timeout(AT_THE_LATEST, async {
            if platform::look(line, &mut found).await {
                identity::look(scene, ports, line, &mut found).await;
            }
        });
        if looked.await.is_err() {
            found.push(late("the platform"));
        }
        let about = scene.named(&line.account().id);
        found.into_iter().map(|one| one.about(about)).collect::<Vec<_>>()
    });
    join_all(looks).await.into_iter().flatten().collect()
}

async fn in_time(what: &str, look: impl Future<Output = Vec<Found>>) -> Vec<Found> {
    match timeout(AT_THE_LATEST, look).await {
        Ok(found) => found,
        Err(_) => vec![late(what)],
    }
}

fn late(what: &str) -> Found {
    UNFINISHED.seen(format!("{what} could not be looked at within {} s", AT_THE_LATEST.as_secs()))
}
