//! The stand-in platform on the loopback interface, inside the test, so that its state is at hand.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use standin::{
    Level, Platform, Switches,
    shell::{self, Shell},
    world::{Credentials, Logged},
};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinHandle,
    time::{self, Instant},
};

use crate::{launch::Launch, process::DEADLINE};

/// How long a platform that leaves waits for connections with a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// A platform that serves, with one external workspace. It ends when dropped.
pub struct Served {
    shell: Shell,
    address: SocketAddr,
    url: String,
    server: JoinHandle<()>,
    /// Dropped, or used, it lets the server end gracefully.
    leave: Option<oneshot::Sender<()>>,
    /// The workspace that the agent is.
    pub me: Credentials,
}

impl Served {
    /// A platform of the later level.
    ///
    /// # Errors
    /// When nothing can be served.
    pub async fn start() -> Result<Self> {
        Self::start_with(Level::Later, &[]).await
    }

    /// A platform of this level, with switches as in `inbox_push=true`.
    ///
    /// # Errors
    /// When there is no such switch, or nothing can be served.
    pub async fn start_with(level: Level, settings: &[&str]) -> Result<Self> {
        let mut switches = Switches::new(level);
        for setting in settings {
            switches.set(setting)?;
        }
        let mut platform = Platform::new(level, switches, 7, shell::now());
        let me = platform.external_workspace("agent");
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port on the loopback interface")?;
        let address = listener.local_addr()?;
        let shell = Shell::new(platform)?;
        let (server, leave) = serve(&shell, listener);
        let url = format!("http://{address}");
        Ok(Self { shell, address, url, server, leave: Some(leave), me })
    }

    /// Ends the server without a farewell: its connections break, and nobody listens where it was.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&mut self) -> Result<()> {
        self.server.abort();
        // That it was ended is what the error says.
        let _ = (&mut self.server).await;
        self.until("nobody", |served| TcpStream::connect(served.address).is_err()).await
    }

    /// Ends the server as its operator does: it takes no more connections, closes those without a request,
    /// and waits for the others. Gives how long that took.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn leave(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        drop(self.leave.take());
        time::timeout(PATIENCE, &mut self.server)
            .await
            .context("the platform waits in vain for its end")??;
        Ok(begun.elapsed())
    }

    /// Serves once more after [`Self::stop`] or [`Self::leave`], where it did, and with what the platform knows.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn serve_again(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        let (server, leave) = serve(&self.shell, listener);
        (self.server, self.leave) = (server, Some(leave));
        Ok(())
    }

    /// Where it serves.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A launch of the program as the agent of this platform.
    ///
    /// # Errors
    /// When the binary was not built.
    pub fn launch(&self) -> Result<Launch> {
        Ok(self.for_me(Launch::new()?))
    }

    /// The environment of the agent of this platform.
    #[must_use]
    pub fn for_me(&self, launch: Launch) -> Launch {
        launch
            .env("PLATFORM_URL", &self.url)
            .env("WORKSPACE_ID", &self.me.id.to_string())
            .env("MOLECULE_WORKSPACE_TOKEN", &self.me.token)
    }

    /// Looks at the platform, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Platform) -> T) -> T {
        self.shell.with(|platform, _| look(platform))
    }

    /// Every request so far as `GET /path?query`, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.with(|platform| platform.requests(0).into_iter().map(line).collect())
    }

    /// How many requests have come that begin like this, as in `POST /registry/`.
    #[must_use]
    pub fn count(&self, beginning: &str) -> usize {
        self.count_since(0, beginning)
    }

    /// The number of the latest request.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.with(|platform| platform.requests(0).last().map_or(0, |entry| entry.number))
    }

    /// How many requests have come after the one with this number that begin like this. The platform
    /// remembers the latest 20,000.
    #[must_use]
    pub fn count_since(&self, number: u64, beginning: &str) -> usize {
        self.with(|platform| {
            let requests = platform.requests(number).into_iter();
            requests.filter(|entry| line(entry).starts_with(beginning)).count()
        })
    }

    /// Waits until a request has come that begins like this.
    ///
    /// # Errors
    /// When none comes.
    pub async fn hears(&self, beginning: &str) -> Result<()> {
        self.until(beginning, |served| served.count(beginning) > 0).await
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// When it does not come to be.
    pub async fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) -> Result<()> {
        let mut beat = time::interval(Duration::from_millis(5));
        let comes = async {
            while !is_so(self) {
                beat.tick().await;
            }
        };
        let came = time::timeout(DEADLINE, comes).await;
        came.map_err(|_| anyhow!("the platform waits in vain for {what}; it saw {:#?}", self.requests()))
    }
}

fn serve(shell: &Shell, listener: TcpListener) -> (JoinHandle<()>, oneshot::Sender<()>) {
    let (leave, left) = oneshot::channel();
    let end = async {
        // Dropping the other end says the same.
        let _ = left.await;
    };
    (tokio::spawn(shell.clone().serve(listener, end, PATIENCE)), leave)
}

fn line(entry: &Logged) -> String {
    let request = &entry.request;
    let query = if request.query.is_empty() { "" } else { "?" };
    format!("{} {}{query}{}", request.method, request.path, request.query)
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}
