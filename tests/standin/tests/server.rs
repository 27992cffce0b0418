//! The stand-in over real connections.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails is a test that fails")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::StreamExt;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use standin::faults::{Effect, Fault};
use standin::shell::{self, Shell};
use standin::world::Credentials;
use standin::{Level, Platform, Switches};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

struct Server {
    shell: Shell,
    base: String,
    own: Credentials,
    client: Client,
    stop: Option<oneshot::Sender<()>>,
}

impl Server {
    async fn start(settings: &[&str]) -> Self {
        Self::start_for(settings, Duration::from_secs(5)).await
    }

    /// With so much time between the signal to end and the end.
    async fn start_for(settings: &[&str], drain: Duration) -> Self {
        let mut switches = Switches::new(Level::Later);
        settings.iter().for_each(|setting| switches.set(setting).unwrap());
        let shell = Shell::new(Platform::new(Level::Later, switches, 1, shell::now())).unwrap();
        let own = shell.with(|platform, _| platform.external_workspace("own"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let end = async { stopped.await.unwrap_or(()) };
        tokio::spawn(shell.clone().serve(listener, end, drain));
        let client = Client::builder().no_proxy().build().unwrap();
        Self { shell, base, own, client, stop: Some(stop) }
    }

    fn url(&self, suffix: &str) -> String {
        format!("{}/workspaces/{}{suffix}", self.base, self.own.id)
    }

    async fn get(&self, suffix: &str) -> reqwest::Result<Response> {
        self.client.get(self.url(suffix)).bearer_auth(&self.own.token).send().await
    }

    async fn post(&self, suffix: &str, body: &Value) -> reqwest::Result<Response> {
        self.client.post(self.url(suffix)).bearer_auth(&self.own.token).json(body).send().await
    }
}

#[tokio::test]
async fn an_answer_looks_like_the_platforms() {
    let server = Server::start(&[]).await;

    let answer = server.get("/activity").await.unwrap();

    assert_eq!(answer.status(), 200);
    let headers = answer.headers();
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(headers["x-ratelimit-remaining"], "599");
    assert!(headers.contains_key("date") && headers.contains_key("content-length"));
    assert_eq!(answer.text().await.unwrap(), "[]");
}

#[tokio::test]
async fn long_answers_come_in_chunks() {
    let server = Server::start(&[]).await;
    let own = server.own.id;
    server.shell.with(|platform, _| platform.user_sends(own, &"x".repeat(3000)));

    let answer = server.get("/activity").await.unwrap();

    assert_eq!(answer.headers().get("content-length"), None);
    assert!(answer.text().await.unwrap().contains(&"x".repeat(3000)));
}

#[tokio::test]
async fn a_lost_answer_is_not_a_lost_request() {
    let server = Server::start(&[]).await;
    let fault = Fault::new(Effect::LoseAnswer).method("POST").path("/workspaces/*/notify");
    server.shell.with(|platform, _| platform.inject(fault));

    let lost = server.post("/notify", &json!({ "message": "hi" })).await;

    assert!(lost.is_err());
    let own = server.own.id;
    assert_eq!(server.shell.with(|platform, _| platform.rows(own).len()), 1);
    assert_eq!(server.post("/notify", &json!({ "message": "hi" })).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_event_stream_opens_with_a_comment_and_ends_when_it_is_closed() {
    let server = Server::start(&[]).await;
    let mut stream = server.get("/events/stream").await.unwrap().bytes_stream();
    assert_eq!(stream.next().await.unwrap().unwrap(), ": ping\n\n");
    let own = server.own.id;

    server.shell.with(|platform, _| platform.user_sends(own, "hi"));

    let line = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    let event: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap().trim_end()).unwrap();
    assert_eq!((&event["type"], &event["data"]["source_id"]), (&json!("ACTIVITY_LOGGED"), &json!(null)));
    server.shell.with(|platform, _| platform.close_streams());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_reader_that_is_gone_leaves_no_stream_behind() {
    let server = Server::start(&[]).await;
    let mut stream = server.get("/events/stream").await.unwrap().bytes_stream();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let own = server.own.id;

    while server.shell.with(|platform, _| platform.open_streams()) > 0 {
        server.shell.with(|platform, _| platform.user_sends(own, "is anybody there?"));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_web_socket_without_a_name_hears_everything() {
    let server = Server::start(&[]).await;
    let address = server.base.strip_prefix("http://").unwrap();
    let connection = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) =
        tokio_tungstenite::client_async(format!("ws://{address}/ws"), connection).await.unwrap();
    let own = server.own.id;

    server.shell.with(|platform, _| platform.user_sends(own, "hi"));

    let frame = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let event: Value = serde_json::from_str(&frame).unwrap();
    assert_eq!(
        (&event["event"], &event["workspace_id"]),
        (&json!("ACTIVITY_LOGGED"), &json!(own.to_string()))
    );
}

#[tokio::test]
async fn a_push_mode_agent_is_really_called() {
    let server = Server::start(&["push_loopback=true"]).await;
    let agent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = agent.local_addr().unwrap().port();
    let own = server.own.id;
    server.shell.with(|platform, _| {
        platform.alter(own, |workspace| {
            workspace.delivery_mode = standin::Mode::Push;
            workspace.url = Some(format!("http://localhost:{port}"));
        });
    });
    let called = tokio::spawn(answer_once(agent));

    let message = json!({ "method": "message/send", "params": { "message": { "content": "hi" } } });
    let answer = server.client.post(server.url("/a2a")).json(&message).send().await.unwrap();

    assert_eq!(answer.text().await.unwrap(), r#"{"result":"pong"}"#);
    let request = called.await.unwrap();
    assert!(
        request.starts_with("POST / HTTP/1.1\r\n") && request.contains("Content-Type: application/json\r\n")
    );
    assert!(!request.to_lowercase().contains("authorization"), "{request}");
}

async fn answer_once(agent: TcpListener) -> String {
    let (mut socket, _) = agent.accept().await.unwrap();
    let mut request = Vec::new();
    while !String::from_utf8_lossy(&request).contains("\"hi\"") {
        socket.read_buf(&mut request).await.unwrap();
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{\"result\":\"pong\"}";
    socket.write_all(answer).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn at_the_end_connections_are_refused_and_streams_stay_for_a_while() {
    let mut server = Server::start(&[]).await;
    let mut stream = server.get("/events/stream").await.unwrap().bytes_stream();
    stream.next().await.unwrap().unwrap();
    let own = server.own.id;

    server.stop.take().unwrap().send(()).unwrap();

    while Client::new().get(server.url("")).send().await.is_ok() {}
    server.shell.with(|platform, _| platform.user_sends(own, "still there"));
    assert!(stream.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn after_the_last_while_streams_are_cut_off_in_the_middle() {
    let mut server = Server::start_for(&[], Duration::from_millis(200)).await;
    let mut stream = server.get("/events/stream").await.unwrap().bytes_stream();
    stream.next().await.unwrap().unwrap();

    server.stop.take().unwrap().send(()).unwrap();

    assert!(stream.next().await.unwrap().is_err(), "it has no proper end");
}

/// The program, ended when dropped.
struct Program {
    child: Child,
    environment: BTreeMap<String, String>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let settings = lines.map(|line| line.strip_prefix("export ").unwrap().to_owned());
        let settings = settings
            .take(5)
            .map(|setting| setting.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())));
        let environment = settings.map(Option::unwrap).collect();
        Self { child, environment }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_program_prints_an_environment_serves_and_ends_when_told() {
    let mut program = Program::start(&["--demo", "--level", "baseline", "--drain", "0"]);
    let value = |name: &str| program.environment[name].clone();
    let (base, id, token) = (value("PLATFORM_URL"), value("WORKSPACE_ID"), value("MOLECULE_WORKSPACE_TOKEN"));
    let client = Client::builder().no_proxy().build().unwrap();
    let body = json!({ "id": id, "agent_card": { "name": "agent" }, "delivery_mode": "poll" });
    let register = client.post(format!("{base}/registry/register")).bearer_auth(&token).json(&body);
    assert_eq!(register.send().await.unwrap().status(), 200);

    let message = json!({ "method": "message/send", "params": { "message": { "content": "hi" } } });
    let send = client.post(format!("{base}/workspaces/{}/a2a", value("ECHO_PEER_ID"))).json(&message);
    let reply: Value =
        send.bearer_auth(&token).header("X-Workspace-ID", &id).send().await.unwrap().json().await.unwrap();

    assert_eq!(reply["result"]["parts"][0]["text"], "You said: hi");
    assert!(program.environment.contains_key("POLL_PEER_ID"));
    let told = Command::new("kill").args(["-TERM", &program.child.id().to_string()]).status().unwrap();
    assert!(told.success() && program.child.wait().unwrap().success());
}
