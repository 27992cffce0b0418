//! Against real sockets on loopback, each with a script of what it answers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::StreamExt;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{
    scripted::{Reply, Server, fixed, rotated},
    *,
};
use crate::{guest::wire::PlatformResponse, network::Network};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
const LIMITS: Limits = Limits { first_byte_ms: 5_000, total_ms: 10_000, body_bytes: 1 << 20 };

#[tokio::test]
async fn a_request_says_who_asks_and_nothing_more() {
    let server = Server::start([Reply::keep(OK)]).await;

    let outcome = server.http("tok-1").send(PlatformRequest { identify: true, ..post("{\"a\":1}") }).await;

    assert_eq!(responded(outcome).status, 200);
    let host = server.base.authority().to_owned();
    let (head, body) = server.request(0);
    let mut lines: Vec<_> = head.lines().map(str::to_ascii_lowercase).collect();
    lines[1..].sort();
    let expected = [
        "post /workspaces/w/notify http/1.1".to_owned(),
        "accept-encoding: identity".to_owned(),
        "accept: */*".to_owned(),
        "authorization: bearer tok-1".to_owned(),
        "content-length: 7".to_owned(),
        "content-type: application/json".to_owned(),
        format!("host: {host}"),
        format!("origin: http://{host}"),
        concat!("user-agent: molecule-mcp/", env!("CARGO_PKG_VERSION")).to_owned(),
        "x-workspace-id: w".to_owned(),
    ];
    assert_eq!(lines, expected);
    assert_eq!(body, "{\"a\":1}");
}

#[tokio::test]
async fn a_get_has_no_body_and_is_anonymous_unless_asked() {
    let server = Server::start([Reply::keep(OK)]).await;

    server.http("tok").send(get()).await;

    let head = server.request(0).0.to_ascii_lowercase();
    for absent in
        ["content-length", "content-type", "transfer-encoding", "x-workspace-id", "cookie", "referer"]
    {
        assert!(!head.contains(absent), "{absent} in {head}");
    }
}

#[tokio::test]
async fn requests_that_lead_elsewhere_are_refused() {
    let server = Server::start([Reply::keep(OK)]).await;
    let http = server.http("tok");
    let path = |id: &str| vec!["workspaces".to_owned(), id.to_owned()];

    for request in [
        PlatformRequest { path: path(".."), ..get() },
        PlatformRequest { path: path(""), ..get() },
        PlatformRequest { workspace: 1, ..get() },
        PlatformRequest { body: Some(vec![b' '; REQUEST_BODY_BYTES + 1]), ..post("") },
    ] {
        let shown = format!("{:?}", request.path);
        assert!(matches!(http.send(request).await, Outcome::Refused(_)), "{shown}");
    }

    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn redirects_are_reported_and_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Server::start([Reply::keep(OK)]).await;
        let answer =
            format!("HTTP/1.1 {status} Moved\r\nlocation: {}x\r\ncontent-length: 0\r\n\r\n", elsewhere.base);
        let server = Server::start([Reply::keep(&answer)]).await;

        let answer = responded(server.http("tok").send(get()).await);

        assert_eq!((answer.status, answer.json), (status, false));
        let said = String::from_utf8(answer.body).unwrap();
        assert!(
            said.starts_with(&format!("redirected to {}x, which is not followed", elsewhere.base)),
            "{said}"
        );

        assert_eq!((server.requests(), elsewhere.connections()), (1, 0));
    }
}

#[tokio::test]
async fn cookies_are_not_kept() {
    let cookie = "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start([Reply::keep(cookie), Reply::keep(OK)]).await;
    let http = server.http("tok");

    http.send(get()).await;
    http.send(get()).await;

    assert!(!server.request(1).0.to_ascii_lowercase().contains("cookie"));
}

#[tokio::test]
async fn what_the_guest_may_know_of_the_head_is_read() {
    let answer = "HTTP/1.1 503 Busy\r\ncontent-type: text/html\r\nretry-after: 7\r\n\
                  date: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 4\r\n\r\nbusy";
    let server = Server::start([Reply::keep(answer)]).await;

    let answer = responded(server.http("tok").send(get()).await);

    let expected = PlatformResponse {
        status: 503,
        json: false,
        retry_after_ms: Some(7_000),
        server_time_ms: Some(784_111_777_000),
        body: b"busy".to_vec(),
    };
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn larger_answers_overflow_whether_they_say_so_or_not() {
    let limits = Limits { body_bytes: 8, ..LIMITS };
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n12345678", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789", true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n1\r\n9\r\n0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", true),
    ];
    for (answer, overflows) in cases {
        let server = Server::start([Reply::keep(answer)]).await;

        let outcome = server.http("tok").send(PlatformRequest { limits, ..get() }).await;

        assert_eq!(outcome == Outcome::Overflowed, overflows, "{answer:?}");
    }
}

#[tokio::test]
async fn an_error_is_cut_and_not_lost() {
    let page = "x".repeat(100_000);
    let answer = format!("HTTP/1.1 502 Bad\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    let server = Server::start([Reply::keep(&answer)]).await;

    let answer = responded(server.http("tok").send(get()).await);

    assert_eq!((answer.status, answer.body.len()), (502, 16 << 10));
}

#[tokio::test]
async fn compressed_answers_are_refused_unread() {
    for coding in ["gzip", "br", "identity, gzip"] {
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: 2\r\n\r\n{{}}");
        let server = Server::start([Reply::keep(&answer)]).await;

        let failure = unreachable(server.http("tok").send(get()).await);

        assert!(failure.reason.contains("compressed"), "{}", failure.reason);
    }
}

#[tokio::test]
async fn an_answer_that_says_it_is_plain_is_plain() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-length: 2\r\n\r\n{}";
    let server = Server::start([Reply::keep(answer)]).await;

    assert_eq!(responded(server.http("tok").send(get()).await).body, b"{}");
}

#[tokio::test]
async fn broken_heads_are_no_answer() {
    let many = "x: y\r\n".repeat(10_000);
    let (long, large) = ("x".repeat(1 << 20), "x".repeat(70 << 10));
    for answer in [
        format!("HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nx: {long}\r\ncontent-length: 0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nx: {large}\r\ncontent-length: 0\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n".to_owned(),
        "HTTP/1.1 799 What\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/9.9 200 OK\r\n\r\n".to_owned(),
        "hello\r\n\r\n".to_owned(),
        "HTTP/1.1 20".to_owned(),
    ] {
        let server = Server::start([Reply::close(&answer)]).await;

        let failure = unreachable(server.http("tok").send(post("{}")).await);

        assert!(failure.maybe_sent, "{}", failure.reason);
        assert!(!failure.reason.contains(['\r', '\n']), "{}", failure.reason);
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_no_answer() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ] {
        let server = Server::start([Reply::close(answer)]).await;

        let failure = unreachable(server.http("tok").send(post("{}")).await);

        assert!(
            failure.maybe_sent && failure.reason.starts_with("the answer broke off"),
            "{}",
            failure.reason
        );
    }
}

#[tokio::test]
async fn without_a_listener_nothing_was_sent() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for base in [format!("http://{free}"), "http://molecule-mcp.invalid".to_owned()] {
        let http = Http::new(Account::new("w", Url::parse(&base).unwrap(), fixed("tok")));

        for request in [post("{}"), get()] {
            let failure = unreachable(http.send(request).await);

            assert!(!failure.maybe_sent && !failure.reason.is_empty(), "{}", failure.reason);
        }
    }
}

#[tokio::test]
async fn a_request_that_was_read_may_have_been_carried_out() {
    let server = Server::start([Reply::close("")]).await;

    let failure = unreachable(server.http("tok").send(post("{}")).await);

    assert!(failure.maybe_sent);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_request_that_waits_for_a_connection_was_not_sent() {
    // The system accepts for a listener that does not, but a TLS handshake needs somebody to answer.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let http = Http::new(Account::new("w", Url::parse(&base).unwrap(), fixed("tok")));
    let limits = Limits { first_byte_ms: 100, total_ms: 300, ..LIMITS };

    let failure = unreachable(http.send(PlatformRequest { limits, ..post("{}") }).await);

    assert!(!failure.maybe_sent, "{}", failure.reason);
}

#[tokio::test]
async fn silence_ends_at_the_limit_for_the_first_byte() {
    let server = Server::start([Reply::Silence]).await;
    let limits = Limits { first_byte_ms: 100, total_ms: 60_000, ..LIMITS };

    let failure = unreachable(server.http("tok").send(PlatformRequest { limits, ..post("{}") }).await);

    assert!(failure.maybe_sent);
    let host = server.base.authority();
    assert_eq!(failure.reason, format!("no answer from {host} within 0.1 s"));
}

#[tokio::test]
async fn a_dripping_body_ends_at_the_limit_for_everything() {
    let server = Server::start([Reply::Drip("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n")]).await;
    let limits = Limits { first_byte_ms: 10_000, total_ms: 200, ..LIMITS };

    let failure = unreachable(server.http("tok").send(PlatformRequest { limits, ..get() }).await);

    assert_eq!(failure.reason, "the answer did not end in time");
}

#[tokio::test]
async fn calls_in_a_row_share_one_connection() {
    let server = Server::start(std::iter::repeat_n(Reply::keep(OK), 100)).await;
    let http = server.http("tok");

    for call in 0..100 {
        http.send(if call % 2 == 0 { get() } else { post("{}") }).await;
    }

    assert_eq!((server.requests(), server.connections()), (100, 1));
}

#[tokio::test]
async fn an_organisation_is_named_where_there_is_one() {
    let server = Server::start([Reply::keep(OK), Reply::keep(OK)]).await;
    let mut account = Account::new("w", server.base.clone(), fixed("tok"));
    Http::new(account.clone()).send(get()).await;
    account.organization = Some("org-1".to_owned());

    Http::new(account).send(get()).await;

    assert!(!server.request(0).0.contains("x-molecule-org-id"));
    assert!(server.request(1).0.contains("x-molecule-org-id: org-1\r\n"), "{}", server.request(1).0);
}

#[tokio::test]
async fn a_long_sleep_costs_the_connections() {
    for (slept_secs, connections) in [(10, 1), (89, 1), (90, 2), (8 * 3_600, 2)] {
        let server = Server::start([Reply::keep(OK), Reply::keep(OK), Reply::keep(OK)]).await;
        let mut http = server.http("tok");
        let slept = Arc::new(AtomicU64::new(0));
        let asleep = Arc::clone(&slept);
        http.pool = Arc::new(Pool::beside(&server.base, Network::default(), move || {
            Duration::from_secs(asleep.load(Ordering::SeqCst))
        }));
        http.send(get()).await;

        slept.store(slept_secs, Ordering::SeqCst);
        http.send(get()).await;
        http.send(get()).await;

        assert_eq!(server.connections(), connections, "{slept_secs} s");
    }
}

#[tokio::test]
async fn a_get_that_was_cut_off_is_repeated_once() {
    let server = Server::start([Reply::keep(OK), Reply::close(""), Reply::keep(OK)]).await;
    let http = server.http("tok");

    http.send(get()).await;
    let outcome = http.send(get()).await;

    assert_eq!(responded(outcome).status, 200);
    assert_eq!((server.requests(), server.connections()), (3, 2));
}

#[tokio::test]
async fn a_get_that_is_cut_off_twice_is_given_up() {
    let server = Server::start([Reply::close(""), Reply::close(""), Reply::keep(OK)]).await;

    unreachable(server.http("tok").send(get()).await);

    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_post_that_was_cut_off_is_never_repeated() {
    let server = Server::start([Reply::keep(OK), Reply::close(""), Reply::keep(OK)]).await;
    let http = server.http("tok");

    http.send(get()).await;
    let failure = unreachable(http.send(post("{}")).await);

    assert!(failure.maybe_sent);
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_refused_token_is_looked_for_again() {
    let server = Server::start([Reply::keep(UNAUTHORIZED), Reply::keep(OK)]).await;
    let directory = TempDir::new().unwrap();
    let http = server.http_with(rotated(&directory, "old", "new"));

    let outcome = http.send(post("{\"a\":1}")).await;

    assert_eq!(responded(outcome).status, 200);
    let (head, body) = server.request(1);
    assert!(head.contains("Bearer new") && body == "{\"a\":1}", "{head}{body}");
}

#[tokio::test]
async fn a_token_that_another_request_has_found_is_used_as_well() {
    let server = Server::start([Reply::keep(UNAUTHORIZED), Reply::keep(OK)]).await;
    let directory = TempDir::new().unwrap();
    let http = server.http_with(rotated(&directory, "old", "new"));

    let older = Token::parse("older").unwrap();

    assert_eq!(http.other_token(&older).await.unwrap().reveal(), "old");
}

#[tokio::test]
async fn a_refused_token_without_another_is_reported() {
    let server = Server::start([Reply::keep(UNAUTHORIZED), Reply::keep(OK)]).await;

    let outcome = server.http("tok").send(post("{}")).await;

    assert_eq!(responded(outcome).status, 401);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_second_token_that_is_refused_is_not_looked_for_again() {
    let server = Server::start([Reply::keep(UNAUTHORIZED), Reply::keep(UNAUTHORIZED), Reply::keep(OK)]).await;

    let directory = TempDir::new().unwrap();
    let http = server.http_with(rotated(&directory, "old", "new"));

    let outcome = http.send(get()).await;

    assert_eq!(responded(outcome).status, 401);
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn files_travel_as_one_form_of_known_length() {
    let server = Server::start([Reply::keep(OK)]).await;
    let files =
        vec![part("a.txt", "text/plain", &["he", "llo"]), part("b c.bin", "application/octet-stream", &[])];

    let outcome = server.http("tok").upload(0, vec!["up".to_owned()], files, LIMITS).await;

    assert_eq!(responded(outcome).status, 200);
    let (head, body) = server.request(0);
    assert!(head.to_ascii_lowercase().contains(&format!("content-length: {}\r\n", body.len())), "{head}");
    let boundary = head.split("boundary=").nth(1).unwrap().lines().next().unwrap();
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.txt\"\r\n\
         Content-Type: text/plain\r\n\r\nhello\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"b c.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n\r\n--{boundary}--\r\n"
    );
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_file_that_breaks_off_breaks_the_request_off() {
    let server = Server::start([Reply::keep(OK)]).await;
    let content =
        futures::stream::iter([Ok(Bytes::from_static(b"he")), Err(io::Error::other("a.txt shrank"))]);
    let broken =
        FilePart { name: "a.txt".to_owned(), mime: "text/plain", length: 5, content: content.boxed() };

    let failure =
        unreachable(server.http("tok").upload(0, vec!["up".to_owned()], vec![broken], LIMITS).await);

    assert!(failure.reason.contains("a.txt shrank"), "{}", failure.reason);
    assert_eq!(server.requests(), 0);
}

fn get() -> PlatformRequest {
    PlatformRequest {
        workspace: 0,
        method: Method::Get,
        path: ["workspaces", "w", "activity"].map(str::to_owned).to_vec(),
        query: vec![("limit".to_owned(), "5".to_owned())],
        identify: false,
        body: None,
        limits: LIMITS,
    }
}

fn post(body: &str) -> PlatformRequest {
    let path = ["workspaces", "w", "notify"].map(str::to_owned).to_vec();
    PlatformRequest { method: Method::Post, path, query: vec![], body: Some(body.into()), ..get() }
}

fn part(name: &str, mime: &'static str, chunks: &[&'static str]) -> FilePart {
    let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
    FilePart { name: name.to_owned(), mime, length, content: futures::stream::iter(chunks).boxed() }
}

fn responded(outcome: Outcome) -> PlatformResponse {
    let Outcome::Responded(response) = outcome else { panic!("{outcome:?}") };
    response
}

fn unreachable(outcome: Outcome) -> Unreachable {
    let Outcome::Unreachable(unreachable) = outcome else { panic!("{outcome:?}") };
    unreachable
}
