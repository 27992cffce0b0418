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

/// The code with which a launch under a hardship ends that this system does not know.
pub const CANNOT: i32 = 99;

/// Makes life hard, and becomes the program.
const HARDSHIP: &str = r#"
import ctypes, os, platform, resource, struct, sys

libc = ctypes.CDLL(None)

def refuse_modes():
    calls = {"x86_64": [90, 91, 268, 452], "aarch64": [52, 53, 452]}.get(platform.machine())
    if not calls:
        sys.exit(99)
    steps = [(0x20, 0, 0, 0)]
    steps += [(0x15, len(calls) - place, 0, call) for place, call in enumerate(calls)]
    steps += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program))):
        sys.exit(99)

program = os.open(sys.argv[2], os.O_RDONLY)
for word in sys.argv[1].split():
    name, value = word.split("=")
    value = int(value)
    if name == "uid":
        os.setgroups([])
        os.setresgid(value, value, value)
        os.setresuid(value, value, value)
    elif name == "mdwe":
        if libc.prctl(65, value, 0, 0, 0):
            sys.exit(99)
    elif name == "chmod":
        refuse_modes()
    else:
        resource.setrlimit(getattr(resource, "RLIMIT_" + name.upper()), (value, value))
os.execve(program, [sys.argv[2], *sys.argv[3:]], os.environ)
"#;

/// An environment, arguments and a disk of their own. Two programs started from the same launch share the disk.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: PathBuf,
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
    /// What the system is to give less of, as in `nofile=8`.
    hardship: Option<String>,
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
        let launch = Self {
            binary,
            environment: BTreeMap::new(),
            arguments: Vec::new(),
            hardship: None,
            disk: Arc::new(disk),
        };
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

    /// Lets the system give the program less: limits as in `nofile=8 as=1000000`, another user (`uid=7`), no
    /// memory that becomes executable (`mdwe=1`), no changes of modes (`chmod=0`). Where the system cannot
    /// do that, the program ends with [`CANNOT`].
    #[must_use]
    pub fn under(mut self, hardship: &str) -> Self {
        self.hardship = Some(hardship.to_owned());
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
        let mut command = match &self.hardship {
            None => Command::new(&self.binary),
            Some(hardship) => {
                let mut python = Command::new("python3");
                python.args(["-c", HARDSHIP, hardship]).arg(&self.binary);
                python
            }
        };
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
