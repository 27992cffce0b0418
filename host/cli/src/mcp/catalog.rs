//! What clients are told about this server: built once, from what the guest says of itself.

use rmcp::model::{
    Implementation, JsonObject, MetaObject, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};

use molecule_runtime::guest::{Guest, GuestDown, wire::ToolSpec};

/// The tools, and how to use them.
pub(super) struct Catalog {
    pub(super) tools: Vec<Tool>,
    pub(super) instructions: String,
}

impl Catalog {
    pub(super) async fn of(guest: &Guest) -> Result<Self, GuestDown> {
        let tools = guest.specs().await?.into_iter().map(tool).collect();
        Ok(Self { tools, instructions: guest.instructions().await? })
    }
}

/// This server, as it introduces itself.
pub(super) fn server(instructions: Option<&str>) -> ServerConfig {
    let name = Implementation::new("molecule", env!("CARGO_PKG_VERSION")).with_title("Molecule");
    let capabilities =
        ServerCapabilities::builder().enable_tools().enable_resources().enable_resources_subscribe().build();
    let config = ServerConfig::new(capabilities).with_server_info(name);
    match instructions {
        Some(instructions) if !instructions.is_empty() => config.with_instructions(instructions),
        Some(_) | None => config,
    }
}

fn tool(spec: ToolSpec) -> Tool {
    let annotations = ToolAnnotations::from_raw(
        Some(spec.title.clone()),
        Some(spec.read_only),
        Some(spec.destructive),
        Some(spec.idempotent),
        Some(spec.open_world),
    );
    let mut tool = Tool::new(spec.name, spec.description, object(&spec.input_schema))
        .with_title(spec.title)
        .with_annotations(annotations);
    if let Some(schema) = &spec.output_schema {
        tool = tool.with_raw_output_schema(object(schema).into());
    }
    if let Some(meta) = &spec.meta {
        tool = tool.with_meta(MetaObject(object(meta)));
    }
    tool
}

/// The guest writes these by a serialiser; should one ever not be an object, an empty one does no harm.
fn object(json: &str) -> JsonObject {
    serde_json::from_str(json).unwrap_or_default()
}
