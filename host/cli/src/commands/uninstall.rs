//! `molecule-mcp uninstall`.

use clap::{Args, builder::PossibleValuesParser};

use super::{
    Context, DONE, FAILED, MISCONFIGURED,
    install::{carry_out, chosen, consent, homes},
    print,
};
use crate::{
    clients::{self, Client, Homes},
    log,
};

/// From which clients, and how much is asked.
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Clients to remove it from; without any, all that have it
    #[arg(value_parser = PossibleValuesParser::new(clients::ALL.iter().map(|client| client.id)))]
    clients: Vec<String>,
    /// Write without asking
    #[arg(long, short)]
    yes: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove the server of this name alone, such as molecule-research
    #[arg(long, value_name = "SERVER")]
    server: Option<String>,
}

impl Uninstall {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<i32> {
        let Some(homes) = homes(context) else { return Ok(MISCONFIGURED) };
        let Some(consent) = consent(self.yes, self.dry_run, "uninstall") else { return Ok(MISCONFIGURED) };
        let chosen = chosen(&self.clients, |client| !client.installed(&homes).is_empty());
        if chosen.is_empty() {
            print("no MCP client has it\n");
            return Ok(DONE);
        }
        let mut failed = false;
        for client in chosen {
            for name in self.servers(client, &homes) {
                print(&format!("\n{} ({name})\n", client.title));
                match client.uninstall(&homes, &name) {
                    Ok(changes) => failed |= carry_out(client, &changes, consent).is_none(),
                    Err(why) => {
                        log::say(&format!("{}: {why}", client.title));
                        failed = true;
                    }
                }
            }
        }
        Ok(if failed { FAILED } else { DONE })
    }

    fn servers(&self, client: &Client, homes: &Homes) -> Vec<String> {
        self.server.as_ref().map_or_else(|| client.installed(homes), |name| vec![name.clone()])
    }
}
