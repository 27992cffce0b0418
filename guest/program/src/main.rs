//! MCP over standard input and output, for as long as the input lasts: a command of WASI.
//!
//! ```text
//! stdin ──► lines ──► Server ──┬── answer ──────────────────────► stdout
//!                              └── call ──► Resident ── answer ──┘
//! ```
//!
//! Calls run beside each other, and nothing goes out before the client asks for something that needs it.

mod lines;

use std::{cell::RefCell, collections::BTreeMap, io::Write as _, pin::pin, process::ExitCode, rc::Rc};

use futures::{
    StreamExt as _,
    future::{self, AbortHandle, Either, abortable},
    stream::FuturesUnordered,
};
use molecule_mcp_server::{Asked, Server, error, result};
use molecule_wasi::{Environment, Resident};
use serde_json::Value;
use tokio::sync::watch;

use self::lines::{Line, Lines, Output};

const PARSE_ERROR: i64 = -32_700;

fn main() -> ExitCode {
    match Environment::read().and_then(Resident::new) {
        Ok(resident) => {
            molecule_wasi::block_on(Program::new(resident).run());
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{why}");
            ExitCode::from(2)
        }
    }
}

/// The server, and the calls that are under way.
struct Program {
    resident: Resident,
    server: Server,
    output: Output,
    /// By the text of the request's id.
    calls: RefCell<BTreeMap<String, AbortHandle>>,
    /// The client means it: work outside may begin.
    begun: watch::Sender<bool>,
}

impl Program {
    fn new(resident: Resident) -> Rc<Self> {
        let server = resident.describe(Server::of);
        let begun = watch::Sender::new(false);
        Rc::new(Self { resident, server, output: Output::new(), calls: RefCell::default(), begun })
    }

    /// Serves until the end of the input.
    async fn run(self: Rc<Self>) {
        let living = async {
            let mut begun = self.begun.subscribe();
            let _ = begun.wait_for(|begun| *begun).await;
            self.resident.live().await;
        };
        future::select(pin!(self.serve()), pin!(living)).await;
        self.resident.end().await;
    }

    async fn serve(&self) {
        let lines = Lines::new();
        let mut calls = FuturesUnordered::new();
        loop {
            let next = pin!(lines.next());
            let ended = async {
                if calls.is_empty() {
                    future::pending::<()>().await;
                }
                calls.next().await;
            };
            let line = match future::select(next, pin!(ended)).await {
                Either::Left((Some(line), _)) => line,
                Either::Left((None, _)) => return,
                Either::Right(_) => continue,
            };
            let asked = match line {
                Line::Text(line) if line.trim_ascii().is_empty() => continue,
                Line::Text(line) => self.server.read(&line),
                Line::TooLong => {
                    Asked::Answer(error(&Value::Null, PARSE_ERROR, "the message is larger than 8 MiB"))
                }
            };
            match asked {
                Asked::Answer(answer) => {
                    if !self.output.write(&answer).await {
                        return;
                    }
                }
                Asked::Call { id, name, arguments, stateless } => {
                    self.begun.send_replace(true);
                    let (call, handle) = abortable(self.call(id.clone(), name, arguments, stateless));
                    self.calls.borrow_mut().insert(id.to_string(), handle);
                    calls.push(call);
                }
                Asked::Cancel(id) => {
                    if let Some(call) = self.calls.borrow_mut().remove(&id.to_string()) {
                        call.abort();
                    }
                }
                Asked::Nothing => {
                    self.begun.send_replace(true);
                }
            }
        }
    }

    /// Calls a tool and writes its answer; dropped, the call is cancelled.
    async fn call(&self, id: Value, name: String, arguments: Value, stateless: bool) {
        let (answer, receipt) = self.resident.call(&name, &arguments).await;
        self.calls.borrow_mut().remove(&id.to_string());
        if self.output.write(&result(&id, &answer, stateless, false)).await {
            receipt.written().await;
        }
    }
}
