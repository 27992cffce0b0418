//! What this server does for a request: tools through the driver, and polite answers for the rest.

use std::sync::{Arc, Mutex, PoisonError};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest,
        CustomResult, DiscoverResult, ErrorCode, Implementation, InitializeRequestParams, InitializeResult,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
        RequestMetaObject, ServerConfig, SubscribeRequestParams, SubscriptionFilter,
        UnsubscribeRequestParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::{Value, json};
use tokio::{
    sync::{OnceCell, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use molecule_runtime::{
    driver::{Driver, Ports},
    guest::{GuestDown, wire::Answer},
    session::Session,
};

use super::{
    catalog::{self, Catalog},
    client::{Links, Outlet, RawArguments, Written},
    progress, resources,
};

/// Tool calls that run at the same time; further ones wait their turn.
const CALLS: usize = 32;
/// Where Codex names the thread of a call.
const THREAD: &str = "threadId";
/// The tools stay the same as long as this process lives.
const FRESH_MS: u64 = 3_600_000;
/// The most of an unknown method's name that is repeated, in characters.
const METHOD_CHARS: usize = 100;

/// The server of one client.
pub(super) struct Server<P, O> {
    driver: Arc<Driver<P>>,
    session: Session,
    links: Links,
    outlet: Arc<O>,
    ended: CancellationToken,
    catalog: OnceCell<Catalog>,
    calls: Semaphore,
    /// Tells a client with a handshake of changes, if it asked for that.
    teller: Mutex<JoinSet<()>>,
}

impl<P: Ports, O: Outlet> Server<P, O> {
    pub(super) fn new(
        driver: Arc<Driver<P>>,
        session: Session,
        links: Links,
        outlet: Arc<O>,
        ended: CancellationToken,
    ) -> Self {
        Self {
            driver,
            session,
            links,
            outlet,
            ended,
            catalog: OnceCell::new(),
            calls: Semaphore::new(CALLS),
            teller: Mutex::default(),
        }
    }

    /// Notes what a request says of its client.
    pub(super) fn meets(&self, meta: &RequestMetaObject) {
        if let Some(client) = meta.client_info() {
            self.is_named(client);
        }
        if let Some(thread) = meta.get(THREAD).and_then(Value::as_str) {
            self.links.introduction.send_if_modified(|known| {
                let is_new = known.thread.as_deref() != Some(thread);
                known.thread = Some(thread.to_owned());
                is_new
            });
        }
    }

    fn is_named(&self, client: Implementation) {
        self.session.introduce(&client.name, &client.version);
        let (name, version) = (client.name, client.version);
        self.links.introduction.send_if_modified(|known| {
            let is_new = (&known.name, &known.version) != (&name, &version);
            (known.name, known.version) = (name, version);
            is_new
        });
    }

    /// A request arrived that only a client that means it sends.
    pub(super) fn greeted(&self) {
        self.session.greeted();
    }

    async fn catalog(&self) -> Result<&Catalog, GuestDown> {
        self.catalog.get_or_try_init(|| Catalog::of(self.driver.guest())).await
    }

    /// With instructions, if the guest can give them: a client that gets none can still call tools.
    async fn introduction(&self) -> ServerConfig {
        match self.catalog().await {
            Ok(catalog) => catalog::server(Some(&catalog.instructions)),
            Err(down) => {
                tracing::warn!("no instructions for the client: {down}");
                catalog::server(None)
            }
        }
    }

    /// Calls a tool; the guest hears whether the client gets the answer.
    async fn call(&self, name: &str, arguments: &str, written: Option<Written>) -> CallToolResult {
        self.session.tool_called();
        // Never closed, so there is always a turn.
        let _turn = self.calls.acquire().await;
        self.outlet.has_room().await;
        match self.driver.call_tool(name, arguments).await {
            Ok((answer, receipt)) => {
                if let Some(written) = written
                    && receipt.is_wanted()
                {
                    tokio::spawn(async move {
                        if written.reached_client().await {
                            receipt.written().await;
                        }
                    });
                }
                result(answer)
            }
            Err(down) => restarted(&down.to_string()),
        }
    }
}

impl<P: Ports, O: Outlet> ServerHandler for Server<P, O> {
    fn get_info(&self) -> ServerConfig {
        catalog::server(None)
    }

    async fn initialize(
        &self,
        mut request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let mut introduction = self.introduction().await;
        introduction.protocol_version = self.negotiate_initialize(&request)?.protocol_version;
        self.is_named(request.client_info.clone());
        // Later requests of this client are answered in the shape of the version both agreed on.
        request.protocol_version = introduction.protocol_version.clone();
        context.peer.set_peer_info(request);
        Ok(introduction)
    }

    async fn discover(&self, _context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(versions, self.introduction().await))
    }

    async fn on_initialized(&self, _context: NotificationContext<RoleServer>) {
        self.greeted();
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let catalog = self.catalog().await.map_err(|down| {
            ErrorData::internal_error(format!("{down}; it was restarted, try again"), None)
        })?;
        let tools = ListToolsResult::with_all_items(catalog.tools.clone());
        let stateless = context.protocol_version().is_some_and(|version| !version.has_initialize());
        Ok(if stateless { tools.with_ttl_ms(FRESH_MS).with_cache_scope(CacheScope::Private) } else { tools })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = match context.extensions.remove::<RawArguments>() {
            Some(RawArguments(text)) => text,
            None => json!(request.arguments.unwrap_or_default()).to_string(),
        };
        let written = context.extensions.remove::<Written>();
        let call = self.call(&request.name, &arguments, written);
        let result = match context.meta.get_progress_token() {
            Some(token) => progress::told(&*self.outlet, token, call).await,
            None => call.await,
        };
        Ok(result.into())
    }

    // Clients ask for these without looking at the capabilities.
    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::default())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::all()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.session.tool_called();
        let _turn = self.calls.acquire().await;
        self.outlet.has_room().await;
        let read = ReadResourceResult::new(vec![resources::read(&self.driver, &request.uri).await?]);
        let stateless = context.protocol_version().is_some_and(|version| !version.has_initialize());
        // What waits may be something else a moment later.
        let read = if stateless { read.with_ttl_ms(0).with_cache_scope(CacheScope::Private) } else { read };
        Ok(read.into())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if !resources::is_known(&request.uri) {
            return Err(resources::unknown(&request.uri));
        }
        let mut teller = self.teller.lock().unwrap_or_else(PoisonError::into_inner);
        if request.uri == resources::INBOX && teller.is_empty() {
            let (outlet, mut arrivals) = (Arc::clone(&self.outlet), self.links.arrivals.clone());
            arrivals.mark_unchanged();
            teller.spawn(async move {
                while arrivals.changed().await.is_ok() {
                    // A client that does not read learns nothing from more of them.
                    if !outlet.is_full() {
                        outlet.notify(&resources::changed());
                    }
                }
            });
        }
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if request.uri == resources::INBOX {
            *self.teller.lock().unwrap_or_else(PoisonError::into_inner) = JoinSet::new();
        }
        Ok(())
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::default())
    }

    /// Any subscription is taken; rmcp leaves of it what the capabilities promise.
    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    /// Only the inbox ever changes. A subscription lasts; at the end of the input it ends in good order.
    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let wanted = context.accepted().resource_subscriptions.as_ref();
        let mut arrivals = self.links.arrivals.clone();
        arrivals.mark_unchanged();
        if !wanted.is_some_and(|uris| uris.iter().any(|uri| uri == resources::INBOX)) {
            self.ended.cancelled().await;
            return Ok(());
        }
        loop {
            tokio::select! {
                biased;
                () = self.ended.cancelled() => return Ok(()),
                changed = arrivals.changed() => {
                    if changed.is_err() {
                        self.ended.cancelled().await;
                    } else if !self.outlet.is_full() {
                        // A subscription that has ended needs no more of them.
                        let _ = context.sink().notify_resource_updated(resources::INBOX).await;
                    }
                }
            }
        }
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method: String = request.method.chars().take(METHOD_CHARS).collect();
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("Method not found: {method}"), None))
    }
}

fn result(answer: Answer) -> CallToolResult {
    let content = answer.text.into_iter().map(ContentBlock::text).collect();
    let mut result =
        if answer.is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
    result.structured_content = answer.structured.and_then(|json| serde_json::from_str(&json).ok());
    result
}

/// What an agent reads when the guest trapped in its call.
pub(super) fn restarted(why: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(format!(
        "Error: the tool logic was restarted in the middle of this call; try again. If the call sends \
         something, look first whether it arrived. What went wrong: {why}"
    ))])
}
