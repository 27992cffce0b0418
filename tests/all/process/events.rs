//! The host's end of the event stream over real connections: the platform's own streams, and everything
//! that may pretend to be one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use molecule_runtime::{
    account::{Account, Credentials, Token, TokenSource},
    guest::wire::Listen,
    platform::{
        events::{Events, Pace},
        http::{EventStream, Http},
    },
    sys::clock::Clock,
};
use molecule_tests::{process::DEADLINE, served::Served};
use standin::{
    Headers, Level, Response,
    faults::{Effect, Fault},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time,
};

/// Like the real one, for those in a hurry.
const PACE: Pace = Pace {
    first_bytes: Duration::from_millis(300),
    silence: Duration::from_millis(400),
    row_after_event: Duration::from_millis(50),
    retry: Duration::from_millis(50),
    retry_at_most: Duration::from_millis(200),
    absent: Duration::from_secs(600),
    unwanted: Duration::from_secs(600),
};
const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
const ROW: &str = "data: {\"type\":\"ACTIVITY_LOGGED\",\"timestamp\":1,\"data\":{}}\n\n";

#[tokio::test]
async fn messages_are_heard_of_one_after_the_other_on_every_level() -> Result<()> {
    for level in Level::ALL {
        let platform = Served::start_with(level, &[]).await?;
        let ear = Ear::of(&platform, Pace::default())?;
        let mut count = ear.hears(0).await?;
        for _ in 0..20 {
            say(&platform, "hello");
            count = ear.hears(count).await?;
        }
        assert_eq!(count, 21, "{level:?}");
        assert_eq!(platform.count(&ask(&platform)), 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_burst_beyond_what_the_platform_keeps_is_a_hint_all_the_same() -> Result<()> {
    let platform = Served::start().await?;
    let ear = Ear::of(&platform, Pace::default())?;
    ear.hears(0).await?;
    let me = platform.me.id;
    platform.with(|platform| (0..500).map(|_| platform.user_sends(me, "x")).count());

    let mut count = ear.hears(1).await?;
    while let Some(more) = ear.hears_within(count, Duration::from_millis(200)).await {
        count = more;
    }
    assert!((2..=65).contains(&count), "{count}");
    say(&platform, "once more");

    assert_eq!(ear.hears(count).await?, count + 1);
    Ok(())
}

#[tokio::test]
async fn a_message_of_20_mib_is_one_hint_among_others() -> Result<()> {
    let platform = Served::start().await?;
    let ear = Ear::of(&platform, Pace::default())?;
    ear.hears(0).await?;
    say(&platform, &"\"".repeat(10 << 20));
    assert_eq!(ear.hears(1).await?, 2);

    say(&platform, "a small one");

    assert_eq!(ear.hears(2).await?, 3);
    assert_eq!(platform.count(&ask(&platform)), 1);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_never_says_a_word_is_asked_for_again_and_never_trusted() -> Result<()> {
    let platform = Served::start_with(Level::Later, &["event_streams=silent"]).await?;
    let ear = Ear::of(&platform, PACE)?;

    let heard = ear.hears_within(0, Duration::from_secs(1)).await;

    assert_eq!(heard, None);
    assert!(platform.count(&ask(&platform)) >= 2, "{:?}", platform.requests());
    assert!(platform.with(|platform| platform.open_streams()) <= 1);
    Ok(())
}

#[tokio::test]
async fn what_is_no_stream_is_not_asked_for_again() -> Result<()> {
    let nothing = [
        answer(200, "text/html", "<!doctype html><title>Sign in</title>"),
        answer(200, "application/json", "{}"),
        answer(200, "", "data: {\"type\":\"ACTIVITY_LOGGED\"}\n\n"),
        answer(204, "", ""),
        answer(301, "text/html", ""),
        answer(401, "application/json", "{\"error\":\"invalid workspace auth token\"}"),
        answer(403, "", ""),
        answer(404, "text/plain", "404 page not found"),
        answer(405, "text/plain", ""),
        answer(410, "application/json", "{}"),
    ];
    for response in nothing {
        let platform = Served::start().await?;
        let shown = format!("{response:?}");
        platform.with(|platform| platform.inject(Fault::new(Effect::Answer(response)).times(9)));
        let ear = Ear::of(&platform, PACE)?;

        assert_eq!(ear.hears_within(0, Duration::from_millis(300)).await, None, "{shown}");

        assert_eq!(platform.count(&ask(&platform)), 1, "{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn a_platform_in_trouble_is_asked_again() -> Result<()> {
    let trouble = [
        Effect::Answer(answer(500, "application/json", "{\"error\":\"failed to verify workspace\"}")),
        Effect::Answer(answer(502, "text/html", "<h1>Bad Gateway</h1>")),
        Effect::CloseAfterReading,
        Effect::CloseBeforeReading,
    ];
    for effect in trouble {
        let platform = Served::start().await?;
        let shown = format!("{effect:?}");
        platform.with(|platform| platform.inject(Fault::new(effect).times(3)));
        let ear = Ear::of(&platform, PACE)?;

        assert_eq!(ear.hears(0).await?, 1, "{shown}");

        assert_eq!(platform.count(&ask(&platform)), 4, "{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn a_platform_that_asks_for_a_pause_gets_it() -> Result<()> {
    let platform = Served::start().await?;
    let mut busy = answer(429, "application/json", "{}");
    busy.headers.push("Retry-After", "1");
    platform.with(|platform| platform.inject(Fault::new(Effect::Answer(busy))));
    let ear = Ear::of(&platform, PACE)?;

    assert_eq!(ear.hears_within(0, Duration::from_millis(900)).await, None);

    assert_eq!(ear.hears(0).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_has_died_without_a_sign_is_opened_again() -> Result<()> {
    let platform = Served::start().await?;
    let ear = Ear::of(&platform, PACE)?;
    ear.hears(0).await?;
    platform.with(|platform| platform.silence_streams());

    let count = ear.hears(ear.hears(1).await?).await?;
    say(&platform, "hello");

    assert_eq!((count, ear.hears(count).await?), (3, 4));
    Ok(())
}

#[tokio::test]
async fn a_platform_that_starts_again_is_found_again() -> Result<()> {
    let mut platform = Served::start().await?;
    let ear = Ear::of(&platform, PACE)?;
    ear.hears(0).await?;

    platform.stop().await?;
    assert_eq!(ear.hears(1).await?, 2, "its end is a hint");
    assert_eq!(ear.hears_within(2, Duration::from_millis(500)).await, None);
    platform.serve_again().await?;

    assert_eq!(ear.hears(2).await?, 3);
    say(&platform, "hello");
    assert_eq!(ear.hears(3).await?, 4);
    Ok(())
}

#[tokio::test]
async fn a_token_that_was_rotated_is_looked_for_and_an_open_stream_goes_on_without() -> Result<()> {
    let platform = Served::start().await?;
    let directory = TempDir::new()?;
    let path = directory.path().join("token");
    let me = platform.me.id;
    std::fs::write(&path, platform.with(|platform| platform.mint_for(me)))?;
    let old = Token::parse("an-older-token").context("a token")?;
    let ear = Ear::with(&platform, PACE, Credentials::new(TokenSource::file(path), old))?;
    assert_eq!(ear.hears(0).await?, 1);
    assert_eq!(platform.count(&ask(&platform)), 2);

    platform.with(|platform| platform.revoke_tokens(me));
    say(&platform, "hello");

    assert_eq!(ear.hears(1).await?, 2);
    Ok(())
}

#[tokio::test]
async fn an_event_that_comes_byte_by_byte_is_one_event() -> Result<()> {
    let bytes = format!("{EVENTS}: ping\n\n{ROW}").into_bytes();
    let server = Raw::serving(bytes.chunks(1).map(<[u8]>::to_vec).collect()).await?;
    let ear = server.ear()?;

    assert_eq!(ear.hears(0).await?, 1);

    assert_eq!(ear.hears(1).await?, 2);
    Ok(())
}

#[tokio::test]
async fn garbage_is_never_trusted_and_ends_nothing() -> Result<()> {
    let noise: Vec<u8> =
        (0..1 << 20).map(|place: u32| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let rubbish = [b"data: \xff\xfe\xfd\n\n".to_vec(), b"<html>\n\n".repeat(1_000), vec![0; 1 << 20], noise];
    for body in rubbish {
        let start: Vec<u8> = body.iter().take(16).copied().collect();
        let server = Raw::serving(vec![EVENTS.as_bytes().to_vec(), body]).await?;
        let ear = server.ear()?;

        let heard = ear.hears_within(0, Duration::from_millis(700)).await;

        assert_eq!(heard, None, "{start:?}");
        assert!(server.asked() >= 2, "{start:?}: {}", server.asked());
    }
    Ok(())
}

#[tokio::test]
async fn an_endless_event_is_given_up() -> Result<()> {
    let mut pieces = vec![EVENTS.as_bytes().to_vec(), b": ping\n\n".to_vec()];
    pieces.extend(std::iter::repeat_n(vec![b'x'; 1 << 20], 42));
    let server = Raw::serving(pieces).await?;
    let patient = Pace { silence: Duration::from_secs(60), ..PACE };
    let ear = Ear::at(&server.url, "w", patient, fixed("tok")?)?;
    assert_eq!(ear.hears(0).await?, 1);

    assert_eq!(ear.hears(1).await?, 2, "its end");

    assert_eq!(ear.hears(2).await?, 3, "and the next one");
    Ok(())
}

/// Whoever listens to the events of one workspace.
struct Ear {
    events: Events<EventStream>,
    clock: Clock,
}

impl Ear {
    fn of(platform: &Served, pace: Pace) -> Result<Self> {
        Self::with(platform, pace, fixed(&platform.me.token)?)
    }

    fn with(platform: &Served, pace: Pace, credentials: Credentials) -> Result<Self> {
        Self::at(platform.url(), &platform.me.id.to_string(), pace, credentials)
    }

    fn at(url: &str, workspace: &str, pace: Pace, credentials: Credentials) -> Result<Self> {
        let http = Arc::new(Http::new(Account::new(workspace, url.parse()?, credentials)));
        let clock = Clock::machine();
        let events = Events::new(Arc::new(EventStream::new(http)), clock, pace, fastrand::Rng::with_seed(7));
        Ok(Self { events, clock })
    }

    /// The count of hints once it exceeds this.
    async fn hears(&self, over: u64) -> Result<u64> {
        self.hears_within(over, DEADLINE).await.with_context(|| format!("no hint over {over}"))
    }

    async fn hears_within(&self, over: u64, limit: Duration) -> Option<u64> {
        let until = self.clock.now() + limit.as_millis() as u64;
        let listen = Listen { workspace: 0, hints_over: over, until, until_with_events: until };
        Some(self.events.listen(&listen).await).filter(|count| *count > over)
    }
}

/// A server that answers every request with the same pieces, and then says no more.
struct Raw {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Raw {
    async fn serving(pieces: Vec<Vec<u8>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (asked, pieces) = (Arc::new(AtomicUsize::new(0)), Arc::new(pieces));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(recite(connection, Arc::clone(&pieces)));
            }
        });
        Ok(Self { url, asked })
    }

    fn ear(&self) -> Result<Ear> {
        Ear::at(&self.url, "w", PACE, fixed("tok")?)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn recite(mut connection: TcpStream, pieces: Arc<Vec<Vec<u8>>>) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        ensure!(connection.read_buf(&mut request).await? > 0, "gone");
    }
    for piece in pieces.iter() {
        connection.write_all(piece).await?;
        tokio::task::yield_now().await;
    }
    time::sleep(DEADLINE).await;
    Ok(())
}

fn fixed(token: &str) -> Result<Credentials> {
    Ok(Credentials::new(TokenSource::setting("TOKEN"), Token::parse(token).context("a token")?))
}

/// The user writes to the agent.
fn say(platform: &Served, text: &str) {
    platform.with(|standin| standin.user_sends(platform.me.id, text));
}

fn ask(platform: &Served) -> String {
    format!("GET /workspaces/{}/events/stream", platform.me.id)
}

fn answer(status: u16, kind: &str, body: &str) -> Response {
    let headers: Headers =
        Some(("Content-Type", kind)).filter(|(_, kind)| !kind.is_empty()).into_iter().collect();
    Response { headers, body: body.to_owned().into(), ..Response::empty(status) }
}
