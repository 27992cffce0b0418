//! The floor of the bench: what an MCP server costs that does nothing.
//!
//! It has the same MCP library, the same HTTP client, the same kind of runtime and the same build flags as
//! `molecule-mcp`, and neither component nor inbox nor presence. Two tools: `echo` answers from memory, `hop`
//! asks the platform for the peers of the workspace and answers with the body.

use std::{env, sync::Arc, sync::OnceLock, time::Duration};

use anyhow::{Context, Result};
use reqwest::{Client, redirect};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::stdio_pipes,
};
use serde_json::{Value, json};

struct Bare {
    client: OnceLock<Client>,
}

impl Bare {
    async fn hop(&self) -> Result<String> {
        let workspace = env::var("WORKSPACE_ID").context("WORKSPACE_ID is missing")?;
        let platform = env::var("PLATFORM_URL").context("PLATFORM_URL is missing")?;
        let token = env::var("MOLECULE_WORKSPACE_TOKEN").context("MOLECULE_WORKSPACE_TOKEN is missing")?;
        let client = match self.client.get() {
            Some(client) => client,
            None => {
                let built = client()?;
                self.client.get_or_init(|| built)
            }
        };
        let request = client
            .get(format!("{platform}/registry/{workspace}/peers"))
            .bearer_auth(token)
            .header("Origin", &platform)
            .header("X-Workspace-ID", &workspace)
            .timeout(Duration::from_secs(10));
        Ok(request.send().await?.error_for_status()?.text().await?)
    }
}

/// With the settings of the program's own client.
fn client() -> Result<Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(Duration::from_secs(5))
        .pool_idle_timeout(Duration::from_secs(15))
        .pool_max_idle_per_host(8)
        .tls_certs_only([]);
    Ok(builder.build()?)
}

impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("bare", "1"))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let text = object(json!({ "type": "object", "properties": { "text": { "type": "string" } } }));
        let nothing = object(json!({ "type": "object" }));
        let tools = vec![
            Tool::new("echo", "Says the text again.", text),
            Tool::new("hop", "Asks the platform for the peers.", nothing),
        ];
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = match request.name.as_ref() {
            "echo" => {
                let text = request.arguments.as_ref().and_then(|arguments| arguments.get("text"));
                text.and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            "hop" => self.hop().await.map_err(|err| ErrorData::internal_error(err.to_string(), None))?,
            other => return Err(ErrorData::invalid_params(format!("no tool is called {other}"), None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

fn object(value: Value) -> Arc<JsonObject> {
    Arc::new(value.as_object().cloned().unwrap_or_default())
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let server = Bare { client: OnceLock::new() }.serve(stdio_pipes()).await?;
    server.waiting().await?;
    Ok(())
}
