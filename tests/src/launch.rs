//! How the real binary is started: where it lies, what it is told, and the disk it finds.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// An environment, arguments and a disk of their own. Two programs started from the same launch share the disk.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: PathBuf,
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
    disk: Arc<TempDir>,
}

impl Launch {
    /// The binary that was built beside this test, with nothing in its environment but `HOME` and
    /// `CONFIGS_DIR`.
    ///
    /// # Errors
    /// When the binary was not built.
    pub fn new() -> Result<Self> {
        Self::of(built_beside()?)
    }

    /// The same for a binary that lies elsewhere.
    ///
    /// # Errors
    /// When there is no place for temporary files.
    pub fn of(binary: PathBuf) -> Result<Self> {
        let disk = TempDir::with_prefix("molecule-mcp-").context("no place for temporary files")?;
        let home = disk.path().join("home");
        fs::create_dir(&home)?;
        let launch =
            Self { binary, environment: BTreeMap::new(), arguments: Vec::new(), disk: Arc::new(disk) };
        let configs = launch.configs();
        Ok(launch.env("HOME", &home.to_string_lossy()).env("CONFIGS_DIR", &configs.to_string_lossy()))
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Where the program keeps its state. Nothing is there until it, or the test, creates it.
    #[must_use]
    pub fn configs(&self) -> PathBuf {
        self.disk.path().join("configs")
    }

    /// The home of the user, which is also the working directory.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.disk.path().join("home")
    }

    /// The file that is started.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The command that starts it, its standard streams still to be chosen.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(&self.arguments).env_clear().envs(&self.environment).current_dir(self.home());
        command
    }

    /// Writes a file below the configs directory, readable by its owner only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_config(&self, name: &str, content: &str) -> Result<PathBuf> {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.configs())?;
        let path = self.configs().join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// The names of all files and directories that the program has left, below home and configs.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn left_behind(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for directory in [self.home(), self.configs()] {
            if !directory.exists() {
                continue;
            }
            for entry in fs::read_dir(&directory)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// `…/debug/deps/process-…` belongs to `…/debug/molecule-mcp`.
fn built_beside() -> Result<PathBuf> {
    let test = env::current_exe().context("a test without a path")?;
    let found = test.ancestors().skip(1).take(2).map(|directory| directory.join("molecule-mcp"));
    for binary in found {
        if binary.is_file() {
            return Ok(binary);
        }
    }
    bail!("there is no molecule-mcp beside {}; build it first: cargo build -p molecule-mcp", test.display())
}
