//! The program `molecule-mcp`.
//!
//! ```text
//! arguments ──► commands ──► exit code
//! ```

use std::{env, process};

use molecule_mcp::{
    commands::{self, Context},
    name_settings, system,
};

fn main() {
    system::give_back_memory();
    system::take_a_full_disk_for_an_error();
    name_settings();
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    let context = Context { variable: |name| env::var_os(name), home: env::home_dir(), names };
    let code = commands::act(commands::parse(env::args_os().skip(1)), &context);
    // Without waiting for anything: a read of standard input cannot be interrupted.
    process::exit(code)
}
