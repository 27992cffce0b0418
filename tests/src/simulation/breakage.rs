//! What breaks, and what a crash leaves.

use super::{
    agent::Mood,
    disk::{Crash, End, Trouble},
    files,
    harm::Harm,
    plan::{Kind, Plan},
    platform::Row,
    world::{Event, SECOND, World},
};

impl World<'_> {
    pub(super) fn break_something(&mut self) {
        if self.calm {
            return;
        }
        let incidents = self.plan.incidents.clone();
        if let Some(kind) = self.chance.weighted(&incidents) {
            self.tell(|_| format!("incident {kind:?}"));
            self.break_down(kind);
        }
        let away = self.away();
        let peace = self.plan.peace(away, &mut self.chance);
        self.plan_in(peace, Event::Break);
    }

    fn break_down(&mut self, kind: Kind) {
        match kind {
            Kind::Another => self.let_another_run(),
            Kind::Clock => self.set_clock(),
            Kind::Cut => {
                let crash = Plan::power_cut(&mut self.chance);
                self.crash_somewhere(crash);
            }
            Kind::Damage => self.damage(),
            Kind::Disk => {
                let (trouble, span) = Plan::disk_trouble(&mut self.chance);
                self.tell(|_| format!("disk {trouble:?} for {span} µs"));
                self.disk.trouble(trouble);
                self.history.disk_fails(true);
                self.plan_in(span, Event::DiskHeals);
            }
            Kind::Events => self.turn_events(),
            Kind::Kill => self.crash_somewhere(Crash::Kill),
            Kind::Line => {
                let (outage, span) = Plan::outage(&mut self.chance);
                self.tell(|_| format!("line {outage:?} for {span} µs"));
                self.platform.turn_bad(Some(outage));
                self.plan_in(span, Event::LineHeals);
            }
            Kind::Mood => {
                let moods: &[_] = if self.plan.sleeps {
                    &[(3, Mood::Asleep), (1, Mood::Idle)]
                } else {
                    &[(5, Mood::Diligent), (3, Mood::Idle), (4, Mood::Sloppy)]
                };
                self.agent.mood = self.chance.weighted(moods).unwrap_or(Mood::Diligent);
                self.tell(|world| format!("mood {:?}", world.agent.mood));
            }
            Kind::Prune => {
                let now = self.platform.time(self.now);
                let oldest = now.saturating_sub(Plan::retention(&mut self.chance));
                self.prune(|_, row| row.created_at < oldest);
            }
            Kind::PruneHandled => {
                let (handled, mut chance) = (self.history.handled(), self.chance.fork());
                let now = self.platform.time(self.now);
                let oldest = now.saturating_sub(Plan::age_of_handled(&mut chance));
                let is_over = |id: &str, row: &Row| row.created_at < oldest && handled.contains(id);
                self.prune(|id, row| is_over(id, row) && chance.percent(50));
            }
            Kind::Trap => self.trap(),
        }
    }

    /// Sets the platform's clock, unless nobody can know of the last time: two steps could make up for each other.
    fn set_clock(&mut self) {
        if !self.platform.clock_is_heard() || self.platform.outage.is_some() {
            return;
        }
        let step = Plan::clock_step(&mut self.chance, self.process.is_none());
        self.tell(|_| format!("clock {step} µs"));
        self.platform.set_clock(step);
    }

    pub(super) fn heal_disk(&mut self) {
        self.disk.trouble(Trouble::None);
        self.history.disk_fails(false);
    }

    fn prune(&mut self, mut is_old: impl FnMut(&str, &Row) -> bool) {
        let there =
            self.platform.rows.iter().filter(|(_, row)| row.visible_at.is_some() && row.gone_at.is_none());
        let old: Vec<String> = there.filter(|(id, row)| is_old(id, row)).map(|(id, _)| id.clone()).collect();
        for id in old {
            self.tell(|_| format!("deleted {id}"));
            self.platform.delete(&id, self.now);
        }
    }

    fn crash_somewhere(&mut self, crash: Crash) {
        if self.process.is_none() {
            return;
        }
        let end = match self.chance.below(10) {
            0..=3 => return self.disk.crash(crash),
            4..=5 => End::LargeSync,
            6.. => End::After(self.chance.mostly_small(0..=40)),
        };
        self.tell(|_| format!("{crash:?} in a file operation: {end:?}"));
        self.disk.end_in(end, crash);
    }

    fn damage(&mut self) {
        // A second damage may take what the first one has left.
        if self.damaged {
            return;
        }
        if self.process.is_some() {
            self.disk.crash(Crash::Kill);
            self.has_crashed(Crash::Kill);
        }
        self.disk.damage(files::JOURNAL);
        self.damaged = true;
    }

    pub(super) fn harm(&mut self, harm: Harm, at: usize) {
        if self.process.is_some() {
            self.disk.crash(Crash::Kill);
            self.has_crashed(Crash::Kill);
        }
        self.history.harmed_bytes = self.disk.harm(files::JOURNAL, harm, at);
        self.damaged = true;
    }

    pub(super) fn has_crashed(&mut self, crash: Crash) {
        self.process = None;
        self.history.crashed(crash);
        let file = files::cursor(&self.disk);
        self.tell(|_| format!("CRASH, the cursor file holds {file:?}"));
        self.history.cursor(file.as_deref(), &self.platform.rows, self.now);
        let downtime = if self.calm { SECOND } else { self.plan.downtime(&mut self.chance) };
        self.down_since = Some(self.now);
        if self.another {
            return;
        }
        // Days without a process take nothing of the time in which things happen.
        self.plan.calm_at += downtime;
        self.plan_in(downtime, Event::Start);
    }
}
