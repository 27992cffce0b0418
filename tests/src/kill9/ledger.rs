//! What the agent was shown and told, and whether that may be.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::flow::{PEERS, Written};

/// The agent's side of the story.
pub(super) struct Ledger {
    written: Written,
    messages: BTreeMap<String, Message>,
    /// How far each peer's messages were shown.
    shown_up_to: [u64; PEERS],
    process: u64,
    /// Messages that this process has shown after an earlier one.
    again: BTreeSet<String>,
    /// The same of all processes.
    pub(super) redelivered: u64,
}

#[derive(Default)]
struct Message {
    shown_by: Option<u64>,
    pop_asked: bool,
    over: bool,
}

impl Ledger {
    pub(super) fn new(written: Written) -> Self {
        Self {
            written,
            messages: BTreeMap::new(),
            shown_up_to: [0; PEERS],
            process: 0,
            again: BTreeSet::new(),
            redelivered: 0,
        }
    }

    /// Another process answers from here on.
    pub(super) fn next_process(&mut self) {
        self.process += 1;
        self.again.clear();
    }

    /// How many messages of earlier processes this one has shown.
    pub(super) fn shown_again(&self) -> usize {
        self.again.len()
    }

    /// How many messages are not known to be over.
    pub(super) fn open(&self) -> usize {
        self.written() - self.messages.values().filter(|message| message.over).count()
    }

    /// How many messages there are so far.
    pub(super) fn written(&self) -> usize {
        self.written.ids().len()
    }

    /// Notes a message as `wait_for_message` has answered it; its id, or nothing if there was none.
    pub(super) fn shown(&mut self, answer: &Value) -> Result<Option<String>> {
        let Some(id) = answer.get("activity_id").and_then(Value::as_str) else { return Ok(None) };
        let (peer, number) =
            self.written.of(id).with_context(|| format!("shown, and never written: {answer}"))?;
        let message = self.messages.entry(id.to_owned()).or_default();
        ensure!(!message.over, "shown after it was popped: {answer}");
        match message.shown_by.replace(self.process) {
            None => {
                let up_to = self.shown_up_to.get_mut(peer).context("an unknown peer")?;
                ensure!(*up_to < number, "peer {peer}: {number} is shown after {up_to}: {answer}");
                *up_to = number;
            }
            Some(process) if process < self.process => {
                ensure!(
                    answer.get("redelivered") == Some(&Value::Bool(true)),
                    "process {} shows what process {process} has shown, and does not say so: {answer}",
                    self.process
                );
                self.redelivered += u64::from(self.again.insert(id.to_owned()));
            }
            Some(_) => {}
        }
        Ok(Some(id.to_owned()))
    }

    /// A message is to be taken out.
    pub(super) fn pop_asked(&mut self, id: &str) {
        self.messages.entry(id.to_owned()).or_default().pop_asked = true;
    }

    /// Notes an answer of `inbox_pop`.
    pub(super) fn popped(&mut self, answer: &Value) -> Result<()> {
        let id = answer.get("activity_id").and_then(Value::as_str);
        let id = id.with_context(|| format!("a pop is answered with {answer}"))?;
        ensure!(answer.get("durable").is_none(), "the disk fails: {answer}");
        let message = self.messages.entry(id.to_owned()).or_default();
        // A pop whose answer was lost may have been the one.
        ensure!(
            answer.get("removed") == Some(&Value::Bool(true)) || message.pop_asked,
            "not there: {answer}"
        );
        message.over = true;
        Ok(())
    }

    /// Whether everything was shown and popped.
    pub(super) fn is_complete(&self) -> bool {
        self.missing().is_empty()
    }

    /// What was never shown, or never popped.
    pub(super) fn missing(&self) -> Vec<String> {
        let done = |id: &String| {
            self.messages.get(id).is_some_and(|message| message.shown_by.is_some() && message.pop_asked)
        };
        self.written.ids().into_iter().filter(|id| !done(id)).collect()
    }
}
