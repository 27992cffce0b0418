//! What a story begins with.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use molecule_runtime::{
    config::ToolOptions,
    guest::wire::{Settings, WorkspaceSettings},
};
use standin::{Level, Switches, world::Credentials};

use super::{
    Story,
    machine::{HOST, Machine},
};

/// A story before it begins.
pub struct Setting {
    level: Level,
    switches: Vec<&'static str>,
    events: bool,
    settings: fn(&mut Settings),
    attachments: BTreeMap<String, Bytes>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            level: Level::Later,
            switches: Vec::new(),
            events: false,
            settings: |_| (),
            attachments: BTreeMap::new(),
        }
    }
}

impl Setting {
    /// The platform is of this version.
    #[must_use]
    pub fn level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The platform has a switch set, as in `inbox_push=true`.
    #[must_use]
    pub fn switch(mut self, switch: &'static str) -> Self {
        self.switches.push(switch);
        self
    }

    /// The platform's events come through.
    #[must_use]
    pub fn events(self) -> Self {
        Self { events: true, ..self }
    }

    /// The operator has configured something.
    #[must_use]
    pub fn settings(self, settings: fn(&mut Settings)) -> Self {
        Self { settings, ..self }
    }

    /// The agent has a file.
    #[must_use]
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.attachments.insert(path.to_owned(), Bytes::copy_from_slice(content.as_bytes()));
        self
    }

    /// Begins the story. The inbox is not fetched yet.
    ///
    /// # Panics
    /// When the component or a switch does not fit, which no story can go on with.
    #[must_use]
    pub fn begin(self) -> Story {
        let mut switches = Switches::new(self.level);
        for switch in self.switches {
            assert!(switches.set(switch).is_ok(), "no such switch: {switch}");
        }
        let machine = Machine::new(self.level, switches, self.events, self.attachments);
        let mut settings = settings(&machine.me);
        (self.settings)(&mut settings);
        Story::start(settings, Arc::new(machine))
    }
}

fn settings(me: &Credentials) -> Settings {
    let workspace = WorkspaceSettings { id: me.id.to_string(), platform: format!("http://{HOST}") };
    ToolOptions::default().settings((1, 2, 3, 4), vec![workspace], true)
}
