//! An agent that does what it is told, a JSON object a line, for `tests/languages/scenarios.py`: see there.

#![expect(clippy::print_stdout, reason = "its answers are what it is for")]

use std::{
    collections::HashMap,
    env,
    io::Write as _,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use futures::{Stream, StreamExt as _};
use molecule_runtime::{Message, Runtime, account::TokenSource};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, stdin},
    sync,
    task::{AbortHandle, JoinSet},
};

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    id: u64,
    #[serde(rename = "do")]
    what: String,
    #[serde(default)]
    tool: String,
    #[serde(default)]
    arguments: Value,
    #[serde(default)]
    call: u64,
}

struct Agent {
    runtime: Runtime,
    messages: sync::Mutex<Pin<Box<dyn Stream<Item = Message> + Send>>>,
    refusal: Mutex<Option<String>>,
}

impl Agent {
    async fn begin() -> Result<Arc<Self>> {
        let setting = |name| env::var(name).with_context(|| format!("{name} is not set"));
        let runtime = Runtime::builder()
            .platform(setting("PLATFORM_URL")?)
            .workspace(setting("WORKSPACE_ID")?)
            .token(TokenSource::file(setting("TOKEN_FILE")?))
            .state_dir(setting("STATE_DIR")?)
            .build()
            .await?;
        let messages = sync::Mutex::new(runtime.messages().boxed());
        Ok(Arc::new(Self { runtime, messages, refusal: Mutex::default() }))
    }

    /// Notes why the platform refuses the token, if it does.
    async fn note_refusal(&self) {
        let refusals = self.runtime.rejected().await;
        let said = refusals.first().map(ToString::to_string);
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }

    async fn does(&self, asked: Asked) -> Result<Value> {
        Ok(match &*asked.what {
            "call" => match self.runtime.call_tool(&asked.tool, asked.arguments).await {
                Ok(answer) => json!({ "text": answer.text, "is_error": answer.is_error }),
                Err(down) => json!({ "down": down.to_string() }),
            },
            "next" => {
                let message = self.messages.lock().await.next().await.context("the messages have ended")?;
                let Message { activity_id, kind, peer_id, text, .. } = message;
                json!({ "message": { "activity_id": activity_id, "kind": kind, "peer_id": peer_id, "text": text } })
            }
            "tools" => {
                let tools = self.runtime.tools().await?.into_iter().map(|tool| {
                    let schema: Value = serde_json::from_str(&tool.input_schema).unwrap_or_default();
                    json!([tool.name, tool.title, tool.description, schema])
                });
                json!({ "tools": tools.collect::<Value>() })
            }
            "refusal" => json!({ "refusal": *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) }),
            other => json!({ "unknown": other }),
        })
    }
}

fn say(said: &Value) {
    println!("{said}");
    let _ = std::io::stdout().flush();
}

#[tokio::main]
async fn main() -> Result<()> {
    let agent = Agent::begin().await?;
    let noting = Arc::clone(&agent);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { noting.note_refusal().await });
    say(&json!({ "ready": true }));
    let mut calls = HashMap::<u64, AbortHandle>::new();
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let asked: Asked = serde_json::from_str(&line)?;
        let id = asked.id;
        match &*asked.what {
            "close" => break,
            "cancel" => {
                if let Some(call) = calls.remove(&asked.call) {
                    call.abort();
                    say(&json!({ "id": asked.call, "cancelled": true }));
                }
            }
            _ => {
                let agent = Arc::clone(&agent);
                let call = tasks.spawn(async move {
                    let mut said =
                        agent.does(asked).await.unwrap_or_else(|cause| json!({ "down": cause.to_string() }));
                    if let Some(fields) = said.as_object_mut() {
                        fields.insert("id".to_owned(), json!(id));
                    }
                    say(&said);
                });
                calls.insert(id, call);
            }
        }
    }
    tasks.shutdown().await;
    if let Some(agent) = Arc::into_inner(agent) {
        agent.runtime.shutdown().await;
    }
    Ok(())
}
