//! Between the lines and rmcp: which requests are in flight, under which names, and how many.
//!
//! ```text
//! Lines ──► incoming ──► room ──► names ──► rmcp ──► names ──► Outbox
//!                          ▲                                      │
//!                          └────────────── written ───────────────┘
//! ```
//!
//! To rmcp every request has a number of its own. So an id that a client uses again after it gave a
//! request up cannot receive the late answer of the first, whatever is still under way inside.

use std::{collections::HashMap, convert::Infallible, future, sync::Arc, time::Duration};

use rmcp::{
    RoleServer,
    model::{
        CancelledNotification, CancelledNotificationParam, ClientJsonRpcMessage, ClientNotification,
        ClientRequest, ErrorCode, ErrorData, GetExtensions, InitializedNotification, JsonRpcMessage,
        RequestId, ServerJsonRpcMessage,
    },
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::json;
use tokio::{
    io::AsyncRead,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    incoming::{self, Incoming},
    lines::{Line, Lines},
    outbox::{Outbox, Ticket},
};
use crate::mcp::client::{ClientId, Written};

/// What unanswered requests may weigh together, in KiB. Beyond it, the rest waits in the pipe.
const ROOM_KIB: usize = 64 << 10;
/// The least that a request weighs: its line is not all it costs.
const REQUEST_KIB: usize = 64;
/// Ignored lines are spoken of at most this often.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// How many lines are answered without an id, and in what time.
const ANSWERS: u32 = 10;
const ANSWERS_IN: Duration = Duration::from_secs(1);

/// The client, as rmcp sees it.
pub(super) struct Client<R> {
    lines: Lines<R>,
    outbox: Arc<Outbox>,
    room: Arc<Semaphore>,
    /// Read, and in need of room.
    next: Option<Next>,
    flights: Flights,
    noise: Noise,
    ended: CancellationToken,
}

/// A line that will be answered, and how much room it needs until then.
struct Next {
    kib: u32,
    what: What,
}

enum What {
    Refusal { id: Option<RequestId>, error: ErrorData },
    Request { id: RequestId, request: Box<ClientRequest> },
}

impl<R: AsyncRead + Unpin> Client<R> {
    /// Reads from `input` and answers through `outbox`; `ended` is cancelled at the end of the input.
    pub(super) fn new(input: R, outbox: Arc<Outbox>, ended: CancellationToken) -> Self {
        Self {
            lines: Lines::new(input),
            outbox,
            room: Arc::new(Semaphore::new(ROOM_KIB)),
            next: None,
            flights: Flights::default(),
            noise: Noise::default(),
            ended,
        }
    }

    /// The next message for rmcp; none at the end of the input. Cancel-safe.
    async fn message(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if let Some(kib) = self.next.as_ref().map(|next| next.kib) {
                let permit = Arc::clone(&self.room).acquire_many_owned(kib).await.ok()?;
                let message = self.next.take().and_then(|next| self.admit(next.what, permit));
                if message.is_some() {
                    return message;
                }
            }
            let line = match self.lines.next().await {
                Ok(line) => line?,
                Err(cause) => {
                    tracing::warn!("stdin cannot be read any further: {cause}");
                    return None;
                }
            };
            let message = match line {
                Line::Complete(line) => self.understand(incoming::read(&line), line.len()),
                Line::Rest(line) => {
                    let read = incoming::read(&line);
                    // A client that cut its last line off has gone, and waits for no answer.
                    let is_cut_off = matches!(
                        &read,
                        Incoming::Refusal { error, .. } if error.code == ErrorCode::PARSE_ERROR
                    );
                    if is_cut_off { None } else { self.understand(read, line.len()) }
                }
                Line::TooLong(meant) => {
                    self.understand(incoming::broken(meant, "the line is longer than 8 MiB"), 0)
                }
            };
            if message.is_some() {
                return message;
            }
        }
    }

    fn understand(&mut self, incoming: Incoming, bytes: usize) -> Option<ClientJsonRpcMessage> {
        let what = match incoming {
            Incoming::Cancellation(id) => return self.flights.give_up(&id).map(cancelled),
            Incoming::Greeting => {
                let greeting = InitializedNotification::default();
                return Some(JsonRpcMessage::notification(ClientNotification::from(greeting)));
            }
            Incoming::Nothing => return None,
            Incoming::Noise => {
                self.noise.hear("a line that is no message");
                return None;
            }
            Incoming::Refusal { id, error } => What::Refusal { id, error },
            Incoming::Request { id, request } => What::Request { id, request },
        };
        let kib = u32::try_from(REQUEST_KIB.max(bytes >> 10)).unwrap_or(u32::MAX);
        self.next = Some(Next { kib, what });
        None
    }

    fn admit(&mut self, what: What, permit: OwnedSemaphorePermit) -> Option<ClientJsonRpcMessage> {
        let (id, mut request) = match what {
            What::Refusal { id, error } => {
                self.refuse(id, error, permit);
                return None;
            }
            What::Request { id, request } => (id, request),
        };
        if self.flights.contains(&id) {
            // Without the id: it belongs to the answer of the first.
            let error = ErrorData::invalid_request("a request with this id is still being served", None);
            self.outbox.push(&ServerJsonRpcMessage::error(error, None), Some(Ticket::of(permit)));
            return None;
        }
        if matches!(*request, ClientRequest::SubscriptionsListenRequest(_)) {
            request.extensions_mut().insert(ClientId(id.clone()));
        }
        let mut written = None;
        if matches!(*request, ClientRequest::CallToolRequest(_)) {
            let (sender, receiver) = Written::channel();
            request.extensions_mut().insert(receiver);
            written = Some(sender);
        }
        Some(JsonRpcMessage::request(*request, self.flights.insert(id, permit, written)))
    }

    fn refuse(&mut self, id: Option<RequestId>, error: ErrorData, permit: OwnedSemaphorePermit) {
        // An id in flight belongs to the answer of that request.
        let id = id.filter(|id| !self.flights.contains(id));
        if error.code != ErrorCode::PARSE_ERROR {
            self.outbox.push(&ServerJsonRpcMessage::error(error, id), Some(Ticket::of(permit)));
            return;
        }
        self.noise.hear("a request that cannot be read");
        if id.is_some() || self.noise.may_be_answered() {
            let refusal = json!({ "jsonrpc": "2.0", "id": id, "error": error });
            self.outbox.push(&refusal, Some(Ticket::of(permit)));
        }
    }
}

impl<R: AsyncRead + Send + Unpin + 'static> Transport<RoleServer> for Client<R> {
    type Error = Infallible;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        match message {
            JsonRpcMessage::Response(mut response) => {
                if let Some(flight) = self.flights.remove(&response.id) {
                    response.id = flight.id;
                    self.outbox.push(&response, Some(flight.ticket));
                }
            }
            JsonRpcMessage::Error(mut error) => {
                if let Some(flight) = error.id.as_ref().and_then(|id| self.flights.remove(id)) {
                    error.id = Some(flight.id);
                    // What a call has found was not told.
                    self.outbox.push(&error, Some(Ticket::of(flight.ticket.permit)));
                }
            }
            JsonRpcMessage::Notification(notification) => self.outbox.push(&notification, None),
            // No request is ever made of the client.
            JsonRpcMessage::Request(_) => {}
        }
        future::ready(Ok(()))
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let message = self.message().await;
        if message.is_none() {
            self.ended.cancel();
        }
        message
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn cancelled(number: RequestId) -> ClientJsonRpcMessage {
    let params = CancelledNotificationParam::new(Some(number), None);
    JsonRpcMessage::notification(ClientNotification::from(CancelledNotification::new(params)))
}

/// Requests that are not answered yet.
#[derive(Default)]
struct Flights {
    last: i64,
    numbers: HashMap<RequestId, i64>,
    flights: HashMap<i64, Flight>,
}

/// A request that is not answered yet.
struct Flight {
    /// Its id, as the client gave it.
    id: RequestId,
    /// Its share of the room, and who waits for its answer to be written.
    ticket: Ticket,
}

impl Flights {
    fn contains(&self, id: &RequestId) -> bool {
        self.numbers.contains_key(id)
    }

    /// Gives a request its number.
    fn insert(
        &mut self,
        id: RequestId,
        permit: OwnedSemaphorePermit,
        written: Option<watch::Sender<bool>>,
    ) -> RequestId {
        self.last += 1;
        self.numbers.insert(id.clone(), self.last);
        self.flights.insert(self.last, Flight { id, ticket: Ticket { permit, written } });
        RequestId::Number(self.last)
    }

    /// Takes out the request with this number; none if it was given up.
    fn remove(&mut self, number: &RequestId) -> Option<Flight> {
        let RequestId::Number(number) = number else { return None };
        let flight = self.flights.remove(number)?;
        self.numbers.remove(&flight.id);
        Some(flight)
    }

    /// Forgets a request, and says its number if it was not answered yet.
    fn give_up(&mut self, id: &RequestId) -> Option<RequestId> {
        let number = self.numbers.remove(id)?;
        self.flights.remove(&number);
        Some(RequestId::Number(number))
    }
}

/// Lines that cannot be read.
#[derive(Default)]
struct Noise {
    lines: u64,
    noted: Option<Instant>,
    /// Since when so many were answered without an id.
    answered: Option<(Instant, u32)>,
}

impl Noise {
    fn hear(&mut self, what: &str) {
        self.lines += 1;
        if self.noted.is_none_or(|noted| noted.elapsed() >= NOTE_EVERY) {
            self.noted = Some(Instant::now());
            let lines = self.lines;
            tracing::warn!("{what} came on stdin; lines so far that cannot be read: {lines}");
        }
    }

    /// Whether another line may be answered of which no id is known: such answers could make a storm with a
    /// client that sends back what it gets.
    fn may_be_answered(&mut self) -> bool {
        let now = Instant::now();
        let (since, count) =
            self.answered.filter(|(since, _)| now.duration_since(*since) < ANSWERS_IN).unwrap_or((now, 0));
        self.answered = Some((since, count.saturating_add(1)));
        count < ANSWERS
    }
}
