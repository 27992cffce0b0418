//! A platform on loopback that answers from a script, and tokens to visit it with.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time,
};
use url::Url;

use super::Http;
use crate::account::{Account, Credentials, Token, TokenSource};

/// A token that never changes.
pub(crate) fn fixed(token: &str) -> Credentials {
    Credentials::new(TokenSource::setting("TOKEN"), Token::parse(token).unwrap())
}

/// A token that was read from a file in `directory`, which holds another one by now.
pub(crate) fn rotated(directory: &TempDir, token: &str, other: &str) -> Credentials {
    let path = directory.path().join("token");
    fs::write(&path, other).unwrap();
    Credentials::new(TokenSource::file(path), Token::parse(token).unwrap())
}

#[derive(Clone)]
pub(crate) enum Reply {
    /// Answers and keeps the connection.
    Keep(String),
    /// Answers and closes.
    Close(String),
    /// Answers with a head, then a byte now and then.
    Drip(&'static str),
    /// Reads and never answers.
    Silence,
}

impl Reply {
    pub(crate) fn keep(answer: &str) -> Self {
        Self::Keep(answer.to_owned())
    }

    pub(crate) fn close(answer: &str) -> Self {
        Self::Close(answer.to_owned())
    }
}

/// Answers one request after the other from its script.
pub(crate) struct Server {
    pub(crate) base: Url,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<(String, String)>>,
    connections: AtomicUsize,
}

impl Server {
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let seen = Arc::new(Seen::default());
        let script: Vec<_> = script.into_iter().collect();
        tokio::spawn(serve(listener, script, Arc::clone(&seen)));
        Self { base, seen }
    }

    pub(crate) fn http(&self, token: &str) -> Http {
        self.http_with(fixed(token))
    }

    pub(crate) fn http_with(&self, credentials: Credentials) -> Http {
        Http::new(Account::new("w", self.base.clone(), credentials))
    }

    pub(crate) fn request(&self, index: usize) -> (String, String) {
        self.seen.requests.lock().unwrap()[index].clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.lock().unwrap().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, script: Vec<Reply>, seen: Arc<Seen>) {
    let mut script = script.into_iter();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        seen.connections.fetch_add(1, Ordering::SeqCst);
        while let Some(request) = read_request(&mut stream).await {
            seen.requests.lock().unwrap().push(request);
            match script.next().unwrap() {
                Reply::Keep(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                Reply::Close(answer) => {
                    let _ = stream.write_all(answer.as_bytes()).await;
                    break;
                }
                Reply::Drip(head) => {
                    stream.write_all(head.as_bytes()).await.unwrap();
                    while stream.write_all(b"x").await.is_ok() {
                        time::sleep(Duration::from_millis(20)).await;
                    }
                }
                Reply::Silence => {
                    let _ = stream.read(&mut [0]).await;
                }
            }
        }
    }
}

/// Head and body of the next request; nothing if the client closes before it is whole.
async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some((format!("{head}\r\n"), body.to_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
