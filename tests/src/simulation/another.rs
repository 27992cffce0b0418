//! Another implementation on the same directory: reads after the row in the cursor file, shows what it gets, and writes
//! the file at once. It keeps nothing else.

use super::{
    disk::Crash,
    files,
    plan::Plan,
    platform::Time,
    world::{Event, SECOND, World},
};

impl World<'_> {
    /// Our process ends, as a client ends it, and another implementation takes its place for a while.
    pub(super) fn let_another_run(&mut self) {
        if self.process.is_none() || self.platform.outage.is_some() {
            return;
        }
        self.another = true;
        self.disk.crash(Crash::Kill);
        self.has_crashed(Crash::Kill);
        self.begin_another();
    }

    /// Another implementation begins its turn.
    pub(super) fn begin_another(&mut self) {
        let until = self.now + Plan::turn_of_another(&mut self.chance);
        self.another = true;
        self.disk.start();
        self.disk.do_not_end();
        self.tell(|_| format!("ANOTHER until {until}"));
        self.history.another_begins();
        self.plan_in(SECOND / 2, Event::Another(until));
    }

    pub(super) fn another_looks(&mut self, until: Time) {
        if !self.another {
            return;
        }
        let cursor = files::cursor(&self.disk);
        let found = self.platform.rows_for_another(cursor.as_deref(), self.now);
        match found {
            None => {
                // It forgets a row that the platform does not know.
                files::write_cursor(&self.disk, None);
            }
            Some(rows) => {
                self.tell(|_| format!("another is shown {rows:?}"));
                self.history.shown_by_another(&rows);
                if let Some(last) = rows.last() {
                    files::write_cursor(&self.disk, Some(last));
                }
            }
        }
        if self.now < until {
            let pause = self.chance.within(2 * SECOND..=6 * SECOND);
            self.plan_in(pause, Event::Another(until));
        } else {
            self.plan_in(SECOND, Event::Start);
        }
    }

    /// Our process begins: what the other one has left behind it counts as shown.
    pub(super) fn another_is_gone(&mut self) {
        if !std::mem::take(&mut self.another) {
            return;
        }
        let left = files::cursor(&self.disk);
        self.history.another_ends(left.as_deref(), &self.platform.rows, self.now);
    }
}
