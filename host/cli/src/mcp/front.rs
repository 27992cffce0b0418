//! In front of the server: whatever happens to one request, the others and the process live on.

use std::{borrow::Cow, panic::AssertUnwindSafe};

use futures::FutureExt;
use rmcp::{
    ErrorData, RoleServer, Service,
    model::{ClientNotification, ClientRequest, ProtocolVersion, ServerConfig, ServerResult},
    service::{NotificationContext, RequestContext},
};

use molecule_runtime::driver::Ports;

use super::{
    client::{ClientId, Outlet},
    server::{self, Server},
};

/// A server whose requests can be cancelled, and fail alone.
pub(super) struct Front<P, O>(pub(super) Server<P, O>);

impl<P: Ports, O: Outlet> Service<RoleServer> for Front<P, O> {
    async fn handle_request(
        &self,
        request: ClientRequest,
        mut context: RequestContext<RoleServer>,
    ) -> Result<ServerResult, ErrorData> {
        if let Some(ClientId(id)) = context.extensions.remove() {
            context.id = id;
        }
        self.0.meets(&context.meta);
        if is_stateless(&request, &context) {
            self.0.greeted();
        }
        let cancelled = context.ct.clone();
        let calls_tool = matches!(request, ClientRequest::CallToolRequest(_));
        let work = AssertUnwindSafe(Service::handle_request(&self.0, request, context)).catch_unwind();
        tokio::select! {
            biased;
            // The work is dropped; rmcp drops this answer too.
            () = cancelled.cancelled() => Err(ErrorData::invalid_request("cancelled by the client", None)),
            done = work => done.unwrap_or_else(|_| panicked(calls_tool)),
        }
    }

    async fn handle_notification(
        &self,
        notification: ClientNotification,
        context: NotificationContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Service::handle_notification(&self.0, notification, context).await
    }

    fn get_info(&self) -> ServerConfig {
        Service::get_info(&self.0)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Service::supported_protocol_versions(&self.0)
    }
}

/// Whether this is a request of the stateless era that goes beyond a probe.
fn is_stateless(request: &ClientRequest, context: &RequestContext<RoleServer>) -> bool {
    !matches!(request, ClientRequest::DiscoverRequest(_) | ClientRequest::InitializeRequest(_))
        && context.meta.protocol_version().is_some_and(|version| !version.has_initialize())
}

fn panicked(calls_tool: bool) -> Result<ServerResult, ErrorData> {
    tracing::error!("a request ended in a panic; the server goes on");
    if calls_tool {
        return Ok(ServerResult::CallToolResult(server::restarted("a defect in this program")));
    }
    Err(ErrorData::internal_error("a defect in this program; try again", None))
}
