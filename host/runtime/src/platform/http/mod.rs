//! Requests to the platform: the one place that holds the token and names the origin.
//!
//! ```text
//! request ──► address, headers, token ──► one connection ──► answer within its limits ──► outcome
//!                        ▲                                        │
//!                        └── once more: another token after 401 ──┤
//!                        └── once more: a GET that was cut off ───┘
//! ```
//!
//! Redirects are not followed, cookies not kept, answers not expanded, and nothing leaves without a token.

mod address;
mod answer;
mod download;
mod events;
mod examine;
mod idle;
mod pool;
mod progress;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
mod trouble;

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Body, Client, multipart};
use tokio::{
    sync::watch,
    task,
    time::{self, Instant},
};
use url::Url;

pub(crate) use self::pool::Pools;
pub use self::{
    download::Incoming,
    events::EventStream,
    examine::{Certificate, Examined, RateLimit},
    trouble::{Obstacle, Trouble},
};
use self::{
    pool::{CONNECT_WITHIN, Pool},
    progress::{Stage, Watched},
    trouble::{Way, causes},
};
use crate::{
    account::{Account, Token},
    guest::wire::{Limits, Method, Outcome, PlatformRequest, Unreachable, Workspace},
};

/// What every request says of us.
const USER_AGENT: &str = concat!("molecule-mcp/", env!("CARGO_PKG_VERSION"));
/// The platform takes no larger document on any path.
const REQUEST_BODY_BYTES: usize = 16 << 20;
/// The longest that any exchange may take, whatever the guest asks for.
const TOTAL_AT_MOST: Duration = Duration::from_secs(900);
/// The largest message that any platform delivers, with what escapes it.
const ANSWER_AT_MOST: u32 = 40 << 20;
/// Reading a token again must not hold up the request that needs it.
const RELOAD_WITHIN: Duration = Duration::from_secs(1);

/// Exchanges of one workspace with its platform. Cheap until the first of them.
pub struct Http {
    account: Arc<Account>,
    pool: Arc<Pool>,
    way: Way,
}

/// A file on its way to the platform.
pub struct FilePart {
    /// The name that the user sees; no path.
    pub name: String,
    /// Its media type.
    pub mime: &'static str,
    /// How many bytes `content` has.
    pub length: u64,
    /// Its content; an error breaks the request off.
    pub content: BoxStream<'static, io::Result<Bytes>>,
}

/// A request before it is given a token and a body.
struct Call {
    method: http::Method,
    address: Url,
    identify: bool,
    /// What the answer has to be, if anything but everything will do.
    accept: Option<HeaderValue>,
    limits: Limits,
    deadline: Instant,
}

/// A body, and what it is.
struct Document {
    body: Body,
    kind: String,
    length: Option<u64>,
}

/// Why there is no answer.
struct Failure {
    trouble: Trouble,
    maybe_sent: bool,
    /// The connection ended before the answer began.
    cut_off: bool,
}

impl Http {
    /// Exchanges with the platform of `account`, over connections of their own.
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self::over(&mut Pools::for_accounts(1), Arc::new(account))
    }

    /// As [`Self::new`], over the connections that accounts on one way share.
    pub(crate) fn over(pools: &mut Pools, account: Arc<Account>) -> Self {
        let way = Way::new(&account.platform, account.network.proxy.as_ref());
        Self { pool: pools.of(&account), way, account }
    }

    /// The workspace that asks.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The token in use, to compare it with a later one.
    #[must_use]
    pub fn token(&self) -> Token {
        self.account.credentials.token()
    }

    /// Sends one request: `Responded`, `Overflowed`, `Refused` or `Unreachable`.
    ///
    /// After a 401 the token is looked for again, and the request repeated if there is another one. A
    /// GET whose connection is cut off before the answer is repeated once.
    pub async fn send(&self, request: PlatformRequest) -> Outcome {
        let call = match self.call(&request) {
            Ok(call) => call,
            Err(reason) => return Outcome::Refused(reason),
        };
        let body = request.body.map(Bytes::from);
        let document = || body.clone().map(Document::json);
        let token = self.token();
        let mut answer = self.exchange(&call, &token, document()).await;
        if request.method == Method::Get && matches!(&answer, Err(failure) if failure.cut_off) {
            answer = self.exchange(&call, &token, None).await;
        }
        if answer.as_ref().is_ok_and(is_unauthorized)
            && let Some(other) = self.other_token(&token).await
        {
            answer = self.exchange(&call, &other, document()).await;
        }
        answer.unwrap_or_else(Failure::into_outcome)
    }

    /// Sends one request with `token` in place of the one in use, once: outcomes as for [`Self::send`].
    pub async fn send_with(&self, token: &Token, request: PlatformRequest) -> Outcome {
        let call = match self.call(&request) {
            Ok(call) => call,
            Err(reason) => return Outcome::Refused(reason),
        };
        let document = request.body.map(|body| Document::json(body.into()));
        self.exchange(&call, token, document).await.unwrap_or_else(Failure::into_outcome)
    }

    /// Uses `token` from here on.
    pub fn adopt(&self, token: Token) {
        self.account.credentials.adopt(token);
    }

    /// Sends `files` as one form, with `files` as the name of each: outcomes as for [`Self::send`].
    ///
    /// After a 401 the token is looked for again, for the next try.
    pub async fn upload(
        &self,
        workspace: Workspace,
        path: Vec<String>,
        files: Vec<FilePart>,
        limits: Limits,
    ) -> Outcome {
        let request = PlatformRequest {
            workspace,
            method: Method::Post,
            path,
            query: vec![],
            identify: false,
            body: None,
            limits,
        };
        let call = match self.call(&request) {
            Ok(call) => call,
            Err(reason) => return Outcome::Refused(reason),
        };
        let document = match self.pool.client().await.and_then(|client| Document::form(&client, files)) {
            Ok(document) => document,
            Err(reason) => return Failure::before(reason).into_outcome(),
        };
        let token = self.token();
        let answer = self.exchange(&call, &token, Some(document)).await;
        if answer.as_ref().is_ok_and(is_unauthorized) {
            self.other_token(&token).await;
        }
        answer.unwrap_or_else(Failure::into_outcome)
    }

    fn call(&self, request: &PlatformRequest) -> Result<Call, String> {
        if request.workspace != self.account.handle() {
            return Err(format!("there is no workspace {}", request.workspace));
        }
        if request.body.as_ref().is_some_and(|body| body.len() > REQUEST_BODY_BYTES) {
            return Err(format!("the request is larger than {} MiB", REQUEST_BODY_BYTES >> 20));
        }
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
        };
        let address = address::below(&self.account.platform, &request.path, &request.query)?;
        let total = Duration::from_millis(request.limits.total_ms.into()).min(TOTAL_AT_MOST);
        let limits = Limits { body_bytes: request.limits.body_bytes.min(ANSWER_AT_MOST), ..request.limits };
        let deadline = Instant::now() + total;
        Ok(Call { method, address, identify: request.identify, accept: None, limits, deadline })
    }

    /// The token after another look, if it is not `refused`.
    async fn other_token(&self, refused: &Token) -> Option<Token> {
        // Another request may have looked already.
        if self.token() == *refused {
            let credentials = self.account.credentials.clone();
            let look = task::spawn_blocking(move || credentials.reload());
            let _ = time::timeout(RELOAD_WITHIN, look).await;
        }
        Some(self.token()).filter(|token| token != refused)
    }

    /// One request, one answer, one line in the log.
    async fn exchange(
        &self,
        call: &Call,
        token: &Token,
        document: Option<Document>,
    ) -> Result<Outcome, Failure> {
        let start = Instant::now();
        let answer = self.try_exchange(call, token, document).await;
        let (method, path, took) = (&call.method, call.address.path(), start.elapsed().as_millis());
        match &answer {
            Ok(Outcome::Responded(answer)) => tracing::info!("{method} {path} {} ({took} ms)", answer.status),
            Ok(_) => tracing::info!("{method} {path} no usable answer ({took} ms)"),
            Err(failure) => tracing::info!("{method} {path} {} ({took} ms)", failure.trouble.words),
        }
        answer
    }

    async fn try_exchange(
        &self,
        call: &Call,
        token: &Token,
        document: Option<Document>,
    ) -> Result<Outcome, Failure> {
        let response = self.head(call, token, document).await?;
        rest_of(call, response).await
    }

    /// Sends a request, and gives the head of the answer with the body still to come.
    async fn head(
        &self,
        call: &Call,
        token: &Token,
        document: Option<Document>,
    ) -> Result<reqwest::Response, Failure> {
        let client = self.pool.client().await.map_err(Failure::without_client)?;
        let mut request = reqwest::Request::new(call.method.clone(), call.address.clone());
        *request.headers_mut() = self.headers(call, token, document.as_ref()).map_err(Failure::before)?;
        let mut stage = None;
        if let Some(document) = document {
            let (body, seen) = Watched::new(document.body);
            *request.body_mut() = Some(Body::wrap(body));
            stage = Some(seen);
        }
        let maybe_sent = |stage: &Option<watch::Receiver<Stage>>| {
            stage.as_ref().is_none_or(|stage| *stage.borrow() != Stage::Waiting)
        };
        let response = tokio::select! {
            biased;
            response = client.execute(request) => response.map_err(|cause| Failure {
                trouble: self.way.explain(&cause, CONNECT_WITHIN),
                maybe_sent: !cause.is_connect() && maybe_sent(&stage),
                cut_off: !cause.is_connect() && !cause.is_timeout(),
            })?,
            limit = too_late(call, stage.clone()) => {
                let words = format!("no answer from {} within {} s", self.way.platform(), limit.as_secs_f32());
                let trouble = Trouble { obstacle: Obstacle::NoAnswer, at_proxy: false, words };
                return Err(Failure { trouble, maybe_sent: maybe_sent(&stage), cut_off: false });
            }
        };
        match self.way.locked().filter(|_| response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            Some(trouble) => Err(Failure { trouble, maybe_sent: false, cut_off: false }),
            None => Ok(response),
        }
    }

    fn headers(&self, call: &Call, token: &Token, document: Option<&Document>) -> Result<HeaderMap, String> {
        let value =
            |text: &str| HeaderValue::from_str(text).map_err(|_| "a header cannot be written".to_owned());
        let mut bearer = value(&format!("Bearer {}", token.reveal()))?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, bearer);
        headers.insert(header::ORIGIN, value(&address::origin(&self.account.platform))?);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(accept) = &call.accept {
            headers.insert(header::ACCEPT, accept.clone());
        }
        if call.identify {
            headers.insert("x-workspace-id", value(&self.account.id)?);
        }
        if let Some(organization) = &self.account.organization {
            headers.insert("x-molecule-org-id", value(organization)?);
        }
        if let Some(document) = document {
            headers.insert(header::CONTENT_TYPE, value(&document.kind)?);
            if let Some(length) = document.length {
                headers.insert(header::CONTENT_LENGTH, length.into());
            }
        }
        Ok(headers)
    }
}

impl Document {
    fn json(body: Bytes) -> Self {
        Self { body: body.into(), kind: "application/json".to_owned(), length: None }
    }

    fn form(client: &Client, files: Vec<FilePart>) -> Result<Self, String> {
        let mut form = multipart::Form::new();
        for file in files {
            let part = multipart::Part::stream_with_length(Body::wrap_stream(file.content), file.length)
                .file_name(file.name)
                .mime_str(file.mime)
                .map_err(|cause| causes(&cause))?;
            form = form.part("files", part);
        }
        // Only a request knows the length of a form, so there is one that is never sent.
        let draft = client.post("http://localhost").multipart(form).build();
        let mut draft = draft.map_err(|cause| causes(&cause))?;
        let text = |name| draft.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (kind, length) = (text(header::CONTENT_TYPE), text(header::CONTENT_LENGTH));
        Ok(Self {
            kind: kind.unwrap_or_default(),
            length: length.and_then(|length| length.parse().ok()),
            body: draft.body_mut().take().unwrap_or_default(),
        })
    }
}

impl Failure {
    /// Nothing was sent.
    fn before(words: String) -> Self {
        Self { trouble: other(words), maybe_sent: false, cut_off: false }
    }

    /// There is no client to send anything.
    fn without_client(words: String) -> Self {
        let trouble = Trouble { obstacle: Obstacle::NobodyTrusted, ..other(words) };
        Self { trouble, maybe_sent: false, cut_off: false }
    }

    /// The answer had begun.
    fn within(words: String) -> Self {
        Self { trouble: other(words), maybe_sent: true, cut_off: false }
    }

    fn into_outcome(self) -> Outcome {
        Outcome::Unreachable(Unreachable { reason: self.trouble.words, maybe_sent: self.maybe_sent })
    }
}

fn other(words: String) -> Trouble {
    Trouble { obstacle: Obstacle::Other, at_proxy: false, words }
}

/// Returns the limit that was passed: the one for the head of the answer, or the one for everything.
///
/// Without a body to watch, connecting counts towards the first.
async fn too_late(call: &Call, stage: Option<watch::Receiver<Stage>>) -> Duration {
    let first_byte = Duration::from_millis(call.limits.first_byte_ms.into());
    let head = async {
        if let Some(mut stage) = stage {
            // The body is gone only once it was taken, or the request is over.
            let _ = stage.wait_for(|stage| *stage == Stage::Written).await;
        }
        time::sleep(first_byte).await;
    };
    let begin = Instant::now();
    match time::timeout_at(call.deadline, head).await {
        Ok(()) => first_byte,
        Err(_) => begin.elapsed(),
    }
}

/// Reads what follows the head of an answer.
async fn rest_of(call: &Call, response: reqwest::Response) -> Result<Outcome, Failure> {
    match time::timeout_at(call.deadline, answer::read(response, call.limits.body_bytes)).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(cause)) => Err(Failure::within(format!("the answer broke off: {}", causes(&cause)))),
        Err(_) => Err(Failure::within("the answer did not end in time".to_owned())),
    }
}

fn is_unauthorized(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Responded(answer) if answer.status == StatusCode::UNAUTHORIZED)
}
