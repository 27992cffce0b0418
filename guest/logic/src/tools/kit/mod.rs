//! What all tools are made of: a description, arguments, facts, and the way from a call to its answer.

mod advice;
pub(in crate::tools) mod arguments;
mod selector;

use std::{future::Future, pin::Pin, rc::Rc};

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub(super) use self::{
    advice::{advice, after_colon, may_have_happened},
    arguments::{Count, Flag, Number, Text, WorkspaceId},
    selector::{MOST_ASKED, Selector},
};
use crate::{
    dialogue::Host,
    inbox::{self, Showing, Told},
    permissions::{self, Action},
    text::redact,
    wire::{Answer, Finish, ToolSpec},
    world::World,
};

/// A tool: its description, its arguments, its facts, and what it does.
pub(in crate::tools) trait Tool {
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
pub(in crate::tools) struct Spec {
    pub(in crate::tools) name: &'static str,
    pub(in crate::tools) title: &'static str,
    pub(in crate::tools) description: &'static str,
    /// Changes nothing.
    pub(in crate::tools) read_only: bool,
    /// A second call with the same arguments changes nothing further.
    pub(in crate::tools) idempotent: bool,
    /// Clients that load tools late have this one from the start.
    pub(in crate::tools) always_load: bool,
    /// It shows messages; the results of all others mention those that wait.
    pub(in crate::tools) inbox: bool,
    /// What a role of this workspace has to allow; none: it is for everybody.
    pub(in crate::tools) action: Option<Action>,
}

/// The result of a tool, as text for an agent and as JSON for a program.
pub(in crate::tools) trait Facts: Serialize + JsonSchema {
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
pub(in crate::tools) struct Failure(pub(in crate::tools) String);

impl Failure {
    pub(in crate::tools) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A call from its arguments to its answer.
pub(in crate::tools) type Call = fn(Host, Rc<World>, Value) -> Pin<Box<dyn Future<Output = Finish>>>;

/// A row of the table.
pub(in crate::tools) struct Entry {
    pub(in crate::tools) spec: Spec,
    input: fn() -> Value,
    output: fn() -> Value,
    pub(in crate::tools) run: Call,
}

pub(in crate::tools) const fn entry<T: Tool + 'static>() -> Entry {
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
pub(in crate::tools) fn failed(text: &str) -> Answer {
    Answer { text: vec![redact::diagnostic(text)], is_error: true, structured: None }
}

pub(in crate::tools) fn tool_spec(entry: &Entry, world: &World) -> ToolSpec {
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
pub(in crate::tools) fn schema<T: JsonSchema>() -> Value {
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
