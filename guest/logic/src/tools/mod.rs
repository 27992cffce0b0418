//! What an agent can do: the table of tools, and what all of them share.
//!
//! A tool is one file and one row of [`TOOLS`]. It has its arguments and its facts as types; both
//! schemas come from these types, so what a client is told and what is accepted cannot differ.

mod advice;
mod arguments;
mod attachments;
mod check_task_status;
mod commit_memory;
mod delegate_task;
mod delegate_task_async;
mod delegation;
mod durable;
mod get_workspace_info;
mod inbox_peek;
mod inbox_pop;
mod instructions;
mod list_peers;
mod messages;
mod recall_memory;
mod selector;
mod send_message_to_user;
#[cfg(test)]
mod surface_tests;
#[cfg(test)]
mod vendor_tests;
mod wait_for_message;

use std::{future::Future, pin::Pin, rc::Rc};

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    dialogue::{Dialogue, Host},
    inbox::{self, Showing, Told},
    permissions::{self, Action},
    redact, untrusted,
    wire::{Answer, Finish, Instant, ToolSpec, Turn},
    world::World,
};

/// All tools, in the order in which clients see them.
const TOOLS: &[Entry] = &[
    entry::<delegate_task::DelegateTask>(),
    entry::<delegate_task_async::DelegateTaskAsync>(),
    entry::<check_task_status::CheckTaskStatus>(),
    entry::<list_peers::ListPeers>(),
    entry::<get_workspace_info::GetWorkspaceInfo>(),
    entry::<send_message_to_user::SendMessageToUser>(),
    entry::<wait_for_message::WaitForMessage>(),
    entry::<inbox_peek::InboxPeek>(),
    entry::<inbox_pop::InboxPop>(),
    entry::<commit_memory::CommitMemory>(),
    entry::<recall_memory::RecallMemory>(),
];

/// A tool: its description, its arguments, its facts, and what it does.
pub(crate) trait Tool {
    const SPEC: Spec;

    /// Parsed once, from the arguments object. The types of [`arguments`] take a missing value as an
    /// empty one, so that it can be answered in the tool's own words. What clients see as optional
    /// has `#[serde(default)]`.
    type Arguments: DeserializeOwned + JsonSchema;

    /// What the tool found out.
    type Facts: Facts;

    async fn run(host: Host, world: Rc<World>, arguments: Self::Arguments) -> Result<Self::Facts, Failure>;
}

/// What a client shows of a tool, and decides by.
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// Changes nothing.
    pub(crate) read_only: bool,
    /// A second call with the same arguments changes nothing further.
    pub(crate) idempotent: bool,
    /// Clients that load tools late have this one from the start.
    pub(crate) always_load: bool,
    /// It shows messages; the results of all others mention those that wait.
    pub(crate) inbox: bool,
    /// What a role of this workspace has to allow; none: it is for everybody.
    pub(crate) action: Option<Action>,
}

/// The result of a tool, as text for an agent and as JSON for a program.
pub(crate) trait Facts: Serialize + JsonSchema {
    /// Words for an agent: an object as JSON, or no JSON at all. Some clients read the text as JSON
    /// and refuse everything else.
    fn text(&self, world: &World) -> String;

    /// The messages among them, which count as shown once the client has the answer.
    fn showing(&mut self) -> Option<Showing> {
        None
    }
}

/// A tool failed: text that begins with `Error` or the like, and says what to do next.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A call from its arguments to its answer.
type Call = fn(Host, Rc<World>, Value) -> Pin<Box<dyn Future<Output = Finish>>>;

/// A row of the table.
struct Entry {
    spec: Spec,
    input: fn() -> Value,
    output: fn() -> Value,
    run: Call,
}

const fn entry<T: Tool + 'static>() -> Entry {
    Entry {
        spec: T::SPEC,
        input: input_schema::<T::Arguments>,
        output: schema::<T::Facts>,
        run: |host, world, arguments| Box::pin(run::<T>(host, world, arguments)),
    }
}

async fn run<T: Tool>(host: Host, world: Rc<World>, arguments: Value) -> Finish {
    let mut told = Told::default();
    let mut answer = answer::<T>(&host, &world, arguments, &mut told).await;
    let notes = if T::SPEC.inbox {
        inbox::in_inbox(&host, &world, &mut told).await
    } else {
        inbox::waiting_mail(&world, host.now(), &mut told).into_iter().collect()
    };
    // Some clients show the texts of an answer without a break between them; others read the first as JSON.
    answer.text.extend(notes.into_iter().map(|note| format!("\n{note}")));
    if told.is_nothing() {
        return Finish::Answer(answer);
    }
    if host.reply(answer).await {
        told.keep(&world, host.now());
    }
    Finish::Done
}

async fn answer<T: Tool>(host: &Host, world: &Rc<World>, arguments: Value, told: &mut Told) -> Answer {
    if let Some(why) = permissions::refusal(&world.settings.permissions, T::SPEC.name, T::SPEC.action) {
        return failed(&why);
    }
    let arguments = match arguments::parse(arguments) {
        Ok(arguments) => arguments,
        Err(Failure(text)) => return failed(&text),
    };
    match T::run(host.clone(), Rc::clone(world), arguments).await {
        Ok(mut facts) => {
            told.messages = facts.showing();
            Answer {
                text: vec![facts.text(world)],
                is_error: false,
                structured: world.settings.structured.then(|| serde_json::to_string(&facts).ok()).flatten(),
            }
        }
        Err(Failure(text)) => failed(&text),
    }
}

/// Whatever an error quotes, it shows no credential.
fn failed(text: &str) -> Answer {
    Answer { text: vec![redact::diagnostic(text)], is_error: true, structured: None }
}

/// Begins a call.
pub(crate) fn open(world: &Rc<World>, name: &str, arguments: &str, now: Instant) -> (Dialogue, Turn) {
    let world = Rc::clone(world);
    let entry = TOOLS.iter().find(|entry| entry.spec.name == name);
    let unknown = || format!("Unknown tool: {}", untrusted::name(name));
    let arguments = serde_json::from_str::<Value>(arguments);
    let name = entry.map(|entry| entry.run).ok_or_else(unknown);
    Dialogue::open(now, |host| async move {
        match (name, arguments) {
            (Ok(run), Ok(arguments)) => run(host, world, arguments).await,
            (Ok(_), Err(cause)) => {
                Finish::Answer(failed(&format!("Error: the arguments are not JSON: {cause}")))
            }
            (Err(unknown), _) => Finish::Answer(failed(&unknown)),
        }
    })
}

/// What clients see of all tools.
pub(crate) fn specs(world: &World) -> Vec<ToolSpec> {
    TOOLS.iter().map(|entry| tool_spec(entry, world)).collect()
}

fn tool_spec(entry: &Entry, world: &World) -> ToolSpec {
    let mut input = (entry.input)();
    selector::fit_schema(&mut input, world.acts_for_several());
    ToolSpec {
        name: entry.spec.name.to_owned(),
        title: entry.spec.title.to_owned(),
        description: entry.spec.description.to_owned(),
        input_schema: input.to_string(),
        output_schema: world.settings.structured.then(|| (entry.output)().to_string()),
        read_only: entry.spec.read_only,
        destructive: false,
        idempotent: entry.spec.idempotent,
        // The workspaces of the platform are a closed set.
        open_world: false,
        meta: entry.spec.always_load.then(|| r#"{"anthropic/alwaysLoad":true}"#.to_owned()),
    }
}

/// The schema of arguments; clients expect a list of them even where there are none.
fn input_schema<T: JsonSchema>() -> Value {
    let mut schema = schema::<T>();
    if let Some(keywords) = schema.as_object_mut() {
        keywords.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    }
    schema
}

/// The schema of a type, inlined, without the decorations that some clients refuse.
fn schema<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.meta_schema = None;
    settings.inline_subschemas = true;
    settings.transforms.push(Box::new(RecursiveTransform(description_on_one_line)));
    settings.transforms.push(Box::new(RecursiveTransform(without_machine_formats)));
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.remove("description");
    schema.to_value()
}

/// The line breaks of a doc comment mean nothing to a client.
fn description_on_one_line(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

/// The names of number types are no formats that validators know, and some complain.
fn without_machine_formats(schema: &mut Schema) {
    schema.remove("format");
}

/// What an agent must know to use the tools.
pub(crate) fn instructions(world: &World) -> String {
    instructions::instructions(world)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::{
        dialogue::Dialogue,
        wire::{
            FileChange, FileUpdate, Next, Outcome, Permissions, PlatformRequest, Settings, WorkspaceSettings,
        },
    };

    /// The id of the workspace that tests act for.
    pub(crate) const OWN: &str = "11111111-1111-4111-8111-111111111111";

    /// The id of a second one, where they act for two.
    pub(crate) const SECOND: &str = "33333333-3333-4333-8333-333333333333";

    pub(crate) fn settings() -> Settings {
        Settings {
            seed: (1, 2, 3, 4),
            workspaces: vec![WorkspaceSettings {
                id: OWN.to_owned(),
                platform: "http://platform.test".to_owned(),
            }],
            inbox: true,
            redeliver: false,
            notice: true,
            structured: false,
            bare_peer_text: false,
            delegate_durably: false,
            durable_budget_secs: 300,
            poll_timeout_secs: 2,
            permissions: Permissions {
                roles: vec!["operator".to_owned()],
                allowed_actions: Vec::new(),
                tier: 1,
            },
        }
    }

    /// A call between two turns, driven by hand.
    pub(crate) struct Call {
        pub(crate) dialogue: Dialogue,
        pub(crate) turn: Turn,
        /// The answer that the client has got before the call was over.
        pub(crate) replied: Option<Answer>,
    }

    impl Call {
        pub(crate) fn open(world: &Rc<World>, name: &str, arguments: &Value) -> Self {
            Self::open_at(world, name, arguments, 0)
        }

        pub(crate) fn open_at(world: &Rc<World>, name: &str, arguments: &Value, now: Instant) -> Self {
            let (dialogue, turn) = open(world, name, &arguments.to_string(), now);
            let mut call = Self { dialogue, turn, replied: None };
            call.note_showings(now);
            call.give_answer(now);
            call
        }

        /// What was shown is noted without waiting for the disk.
        fn note_showings(&mut self, now: Instant) {
            let is_note = |next: &Next| {
                let Next::Store(FileUpdate { change: FileChange::Append(append), .. }) = next else {
                    return false;
                };
                !append.sync
            };
            while is_note(&self.turn.next) {
                self.turn = self.dialogue.resume(Outcome::Stored, now);
            }
        }

        /// The client gets the answer.
        pub(crate) fn give_answer(&mut self, now: Instant) {
            if let Next::Reply(answer) = self.turn.next.clone() {
                self.replied = Some(answer);
                self.turn = self.dialogue.resume(Outcome::Replied, now);
            }
        }

        /// The request that the call waits for.
        pub(crate) fn request(&self) -> &PlatformRequest {
            asked(&self.turn)
        }

        /// The request's body.
        pub(crate) fn body(&self) -> Value {
            serde_json::from_slice(self.request().body.as_deref().unwrap_or_default()).unwrap()
        }

        /// Tells the call what happened.
        pub(crate) fn then(&mut self, outcome: Outcome, now: Instant) -> &mut Self {
            self.turn = self.dialogue.resume(outcome, now);
            self.note_showings(now);
            self.give_answer(now);
            self
        }

        /// The answer with which the call ended.
        pub(crate) fn answer(&self) -> &Answer {
            if let Some(answer) = &self.replied {
                return answer;
            }
            let Next::Finish(Finish::Answer(answer)) = &self.turn.next else {
                panic!("not an answer: {:?}", self.turn.next)
            };
            answer
        }

        /// The text of the answer with which the call ended.
        pub(crate) fn text(&self) -> &str {
            &self.answer().text[0]
        }
    }

    /// What a story comes to, with `answer` for the platform; pauses end at once.
    pub(crate) fn play<T: 'static>(
        story: impl AsyncFnOnce(Host) -> T + 'static,
        mut answer: impl FnMut(&PlatformRequest) -> Outcome,
    ) -> T {
        let result: Rc<RefCell<Option<T>>> = Rc::default();
        let slot = Rc::clone(&result);
        let (mut dialogue, mut turn) = Dialogue::open(0, |host| async move {
            let value = story(host).await;
            slot.replace(Some(value));
            Finish::Done
        });
        while result.borrow().is_none() {
            let outcome =
                if let Next::Send(request) = &turn.next { answer(request) } else { Outcome::Rested };
            turn = dialogue.resume(outcome, 0);
        }
        result.take().unwrap()
    }

    /// The request with which a turn ends.
    pub(crate) fn asked(turn: &Turn) -> &PlatformRequest {
        let Next::Send(request) = &turn.next else { panic!("not a request: {:?}", turn.next) };
        request
    }

    pub(crate) fn world() -> Rc<World> {
        Rc::new(World::new(settings()))
    }

    /// A process that acts for two workspaces.
    pub(crate) fn world_of_two() -> Rc<World> {
        let mut settings = settings();
        settings
            .workspaces
            .push(WorkspaceSettings { id: SECOND.to_owned(), platform: "http://second.test".to_owned() });
        Rc::new(World::new(settings))
    }

    #[test]
    fn an_error_that_quotes_a_credential_shows_none() {
        let call = Call::open(&world(), "Bearer 0123456789abcdef0123", &Value::Null);

        assert_eq!(call.text(), "Unknown tool: <redacted-secret>");
    }

    #[test]
    fn an_unknown_tool_is_answered_by_name() {
        let call = Call::open(&world(), "rm\n-rf", &Value::Null);

        assert_eq!(call.text(), "Unknown tool: rm -rf");
        assert!(call.answer().is_error);
    }
}
