//! A call of a tool in an instance that may be gone afterwards.
//!
//! ```text
//! inbox tool:  lock ──► read the journal ──► look at the platform ──► call ──► cursor file ──► unlock
//! wait:        the same again every 5 s, so that other calls have their turn in between
//! other tool:  call, beside ── lock free? ──► what is due of presence ──► unlock
//! ```

use std::{cell::RefCell, rc::Rc};

use futures::future::{self, Either};
use molecule_logic::Agent;
pub use molecule_logic::wire::Answer;
use serde_json::{Value, json};
use tokio::sync::watch;
use wstd::{future::FutureExt as _, time::Duration};

use crate::{
    clock::{Clock, sleep_ms},
    driver::Driver,
    environment::Environment,
    lock::{Lock, STAMP_MS},
    session::Session,
    state::{State, id},
};

/// Between two looks of a wait.
const LOOK_MS: u64 = 5_000;
/// What `wait_for_message` takes without a time, and at most.
const WAIT_SECS: (f64, f64) = (50.0, 280.0);
/// How long a call waits for presence that is due.
const PRESENCE_MS: u64 = 2_000;
/// Presence is looked after so often in a long call.
const ATTEND_MS: u64 = 1_000;

thread_local! {
    /// Where there is no directory of state, as long as the instance lives.
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

/// Calls the tool `name` of the native program with `arguments`, and gives its answer, whose facts are also in `structured`.
///
/// # Errors
/// A text for the agent that says what to do, if the call was not made.
pub async fn call(environment: Environment, name: &str, arguments: &Value) -> Result<Answer, String> {
    let state = match &environment.state {
        Some(path) => Some(State::open(path, &environment)?),
        None => None,
    };
    let visit = Visit { environment: Rc::new(environment), state, clock: Clock::start() };
    if name == "wait_for_message" { visit.wait(arguments).await } else { visit.once(name, arguments).await }
}

struct Visit {
    environment: Rc<Environment>,
    state: Option<State>,
    clock: Clock,
}

impl Visit {
    /// Looks for a message until there is one, or the time is over. Between two looks others have the lock.
    async fn wait(&self, arguments: &Value) -> Result<Answer, String> {
        let secs = arguments
            .get("timeout_secs")
            .and_then(Value::as_f64)
            .unwrap_or(WAIT_SECS.0)
            .clamp(0.0, WAIT_SECS.1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 280,000")]
        let deadline = self.clock.now().saturating_add((secs * 1_000.0) as u64);
        loop {
            let begun = self.clock.now();
            let answer = self.once("wait_for_message", &json!({ "timeout_secs": 0 })).await?;
            if !is_timeout(&answer) || self.clock.now() >= deadline {
                return Ok(waited(answer, secs));
            }
            self.clock.sleep_until(begun.saturating_add(LOOK_MS).min(deadline)).await;
        }
    }

    async fn once(&self, name: &str, arguments: &Value) -> Result<Answer, String> {
        let lock = match &self.state {
            Some(state) if uses_inbox(name, arguments) => Some(Rc::new(state.lock(&self.clock).await?)),
            None if uses_inbox(name, arguments) => return Err(NO_STATE.to_owned()),
            Some(_) | None => None,
        };
        let session = self.session();
        let mut agent = Agent::start(self.environment.settings(self.state.is_some())).in_session(&session.id);
        agent.remember_presence(0, session.registered, session.beaten);
        let files = self.state.as_ref().zip(lock.as_ref()).map(|(state, lock)| state.files(lock));
        let driver = Driver::new(agent, Rc::clone(&self.environment), files, self.clock);
        let saved = driver.saved().map_err(|cause| self.unreadable(&cause))?;

        let attended = watch::Sender::new(false);
        let inbox = async {
            match saved {
                Some(saved) => {
                    future::join3(driver.fetch_inbox(saved), driver.keep_files(0), driver.keep_files(1))
                        .await;
                }
                None => future::pending().await,
            }
        };
        let beside =
            future::join3(inbox, self.attend(&driver, lock.as_ref(), &attended), self.stamp(lock.as_ref()));
        let arguments = arguments.to_string();
        let work = async {
            let answered = driver.call(name, &arguments).await;
            let mut attended = attended.subscribe();
            let _ = attended.wait_for(|attended| *attended).timeout(Duration::from_millis(PRESENCE_MS)).await;
            answered
        };
        let (answer, receipt) = match future::select(std::pin::pin!(work), std::pin::pin!(beside)).await {
            Either::Left((answered, _)) => answered,
            Either::Right(_) => return Err("Error: the call was lost; try again".to_owned()),
        };
        receipt.written().await;
        driver.settle().await;
        Ok(answer)
    }

    /// The session that this call belongs to.
    fn session(&self) -> Session {
        let (now, id) = (self.clock.now(), id());
        match &self.state {
            Some(state) => state.session(id, now),
            None => SESSION
                .with_borrow_mut(|session| session.get_or_insert_with(|| Session::begin(id, now)).clone()),
        }
    }

    /// Registers and beats whenever that is due, for ever. One call at a time does: a beat beside the first register makes
    /// the platform invent two secrets.
    async fn attend(&self, driver: &Rc<Driver>, held: Option<&Rc<Lock>>, attended: &watch::Sender<bool>) {
        loop {
            let own = match (&self.state, held) {
                (Some(state), None) => state.try_lock(&self.clock).await.map(Rc::new),
                (Some(_), Some(lock)) => Some(Rc::clone(lock)),
                (None, _) => None,
            };
            if own.is_some() || self.state.is_none() {
                self.attend_once(driver).await;
            }
            drop(own);
            attended.send_replace(true);
            sleep_ms(ATTEND_MS).await;
        }
    }

    async fn attend_once(&self, driver: &Rc<Driver>) {
        let mut session = self.session();
        driver.agent(|agent| {
            // Another call may have beaten meanwhile.
            if session.beaten > agent.presence(0).beaten {
                agent.remember_presence(0, session.registered, session.beaten);
            }
        });
        let is_due = |presence: molecule_logic::Presence| presence.due(self.clock.now()) <= self.clock.now();
        if is_due(driver.agent(|agent| agent.presence(0))) {
            driver.attend(self.environment.card.clone()).await;
        }
        let presence = driver.agent(|agent| agent.presence(0));
        (session.registered, session.beaten) = (presence.registered, presence.beaten);
        match &self.state {
            Some(state) => state.save(&mut session, self.clock.now()),
            None => SESSION.set(Some(session)),
        }
    }

    /// Says that the lock is held, for ever.
    async fn stamp(&self, lock: Option<&Rc<Lock>>) {
        let Some(lock) = lock else { return future::pending().await };
        loop {
            sleep_ms(STAMP_MS).await;
            lock.stamp(self.clock.now());
        }
    }

    fn unreadable(&self, cause: &std::io::Error) -> String {
        let place = self.state.as_ref().map_or("", State::shown);
        format!(
            "Error: what this plugin keeps in {place} cannot be read: {cause}. Let the plugin read and write that directory."
        )
    }
}

const NO_STATE: &str = "Error: the inbox needs a directory that stays from call to call: let the plugin read and write one, and \
                        set MOLECULE_STATE_DIR to it. Make it readable for its owner alone (chmod 700): it holds messages.";

/// Whether a call shows messages, or has to be told from what the user sends.
fn uses_inbox(name: &str, arguments: &Value) -> bool {
    let attaches =
        || arguments.get("attachments").and_then(Value::as_array).is_some_and(|files| !files.is_empty());
    matches!(name, "inbox_peek" | "inbox_pop" | "wait_for_message")
        || (name == "send_message_to_user" && attaches())
}

fn facts(answer: &Answer) -> Option<Value> {
    serde_json::from_str(answer.structured.as_ref()?).ok()
}

fn is_timeout(answer: &Answer) -> bool {
    !answer.is_error && facts(answer).is_some_and(|facts| facts.get("timeout") == Some(&Value::Bool(true)))
}

/// The last look's answer as that of the whole wait.
fn waited(mut answer: Answer, secs: f64) -> Answer {
    if let Some(mut facts) = facts(&answer).filter(|_| is_timeout(&answer)) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 280")]
        let shown = if secs.fract() == 0.0 { json!(secs as u32) } else { json!(secs) };
        if let Some(fields) = facts.as_object_mut() {
            fields.insert("timeout_secs".to_owned(), shown);
        }
        let text = facts.to_string();
        if let Some(first) = answer.text.first_mut() {
            first.clone_from(&text);
        }
        answer.structured = Some(text);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_wait_tells_the_whole_time() {
        let look = r#"{"timeout":true,"timeout_secs":0}"#.to_owned();
        let answer = Answer { text: vec![look.clone()], is_error: false, structured: Some(look) };

        let whole = waited(answer, 70.0);

        assert_eq!(whole.text, [r#"{"timeout":true,"timeout_secs":70}"#]);
    }

    #[test]
    fn an_answer_with_a_message_or_an_error_stays() {
        for (structured, is_error) in [(Some(r#"{"activity_id":"a"}"#), false), (None, true)] {
            let answer =
                Answer { text: vec!["x".to_owned()], is_error, structured: structured.map(str::to_owned) };

            assert_eq!(waited(answer.clone(), 5.0), answer);
        }
    }

    #[test]
    fn messages_with_files_are_noted_in_the_inbox() {
        assert!(uses_inbox("send_message_to_user", &json!({"message": "m", "attachments": ["/a"]})));
        assert!(!uses_inbox("send_message_to_user", &json!({"message": "m", "attachments": []})));
        assert!(!uses_inbox("list_peers", &json!({})));
    }
}
