//! On a paused clock, with streams that are written by hand.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

use futures::stream::{self, StreamExt};
use tokio::{sync::mpsc, time};

use super::*;

const PING: &str = ": ping\n\n";
const ROW: &str = "data: {\"type\":\"ACTIVITY_LOGGED\"}\n\n";
const DELEGATION: &str = "data: {\"type\":\"DELEGATION_SENT\"}\n\n";
const BEAT: &str = "data: {\"type\":\"WORKSPACE_HEARTBEAT\"}\n\n";
const FOREVER: u64 = 1 << 40;

#[tokio::test(start_paused = true)]
async fn nothing_is_opened_before_somebody_listens() {
    let scene = Scene::new([]);

    time::sleep(Duration::from_secs(3_600)).await;

    assert_eq!(scene.opened(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_first_bytes_of_the_platform_are_the_first_hint() {
    let scene = Scene::new([Try::Stream(5)]);

    assert_eq!(scene.until_hint(0).await, Some(1));

    assert_eq!((scene.now(), scene.healthy()), (5, true));
}

#[tokio::test(start_paused = true)]
async fn an_event_ends_the_pause_at_once() {
    let scene = Scene::healthy_one().await;
    scene.later(700, ROW);

    assert_eq!(scene.until_hint(1).await, Some(2));

    assert_eq!(scene.now(), 700);
}

#[tokio::test(start_paused = true)]
async fn an_event_between_two_pauses_is_not_missed() {
    let scene = Scene::healthy_one().await;
    scene.say(ROW);
    time::sleep(Duration::from_secs(3)).await;

    assert_eq!(scene.until_hint(1).await, Some(2));

    assert_eq!(scene.now(), 3_000);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_events_is_one_end_of_one_pause() {
    let scene = Scene::healthy_one().await;
    for _ in 0..500 {
        scene.say(ROW);
    }
    time::sleep(Duration::from_millis(1)).await;

    let count = scene.until_hint(1).await.unwrap();

    assert_eq!(count, 501);
    assert_eq!(scene.pause(count, 5_000, 15_000).await, (501, 15_000));
}

#[tokio::test(start_paused = true)]
async fn the_row_after_the_event_of_a_delegation_is_a_hint_a_second_later() {
    let scene = Scene::healthy_one().await;
    scene.say(DELEGATION);
    assert_eq!(scene.until_hint(1).await, Some(2));
    assert_eq!(scene.now(), 0);

    assert_eq!(scene.until_hint(2).await, Some(3));

    assert_eq!(scene.now(), 1_000);
    assert_eq!(scene.pause(3, 2_000, 9_000).await, (3, 9_000));
}

#[tokio::test(start_paused = true)]
async fn the_pause_is_as_long_as_the_stream_is_healthy() {
    let scene = Scene::healthy_one().await;
    assert_eq!(scene.pause(1, 5_000, 15_000).await, (1, 15_000));

    scene.hang_up();
    assert_eq!(scene.until_hint(1).await, Some(2));

    assert_eq!(scene.pause(2, 20_000, 35_000).await, (2, 20_000));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_beats_is_never_given_up() {
    let scene = Scene::healthy_one().await;
    for beat in 0..180 {
        scene.later(beat * 20_000, BEAT);
    }

    assert_eq!(scene.pause(1, FOREVER, 3_600_000).await, (1, 3_600_000));

    assert_eq!(scene.opened(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_any_event_is_reopened_after_two_beats_and_a_little() {
    let scene = Scene::new([Try::Stream(0), Try::Stream(0), Try::Stream(0)]);
    scene.until_hint(0).await;
    // A comment may come from something in between that still answers for a platform that is gone.
    scene.later(44_000, PING);

    assert_eq!(scene.until_hint(1).await, Some(2));
    assert_eq!((scene.now(), scene.healthy()), (45_000, false));
    assert_eq!(scene.until_hint(2).await, Some(3));
    assert!((45_750..=46_250).contains(&scene.now()), "{}", scene.now());

    // Silence is no trouble of the platform, so the pauses do not grow.
    assert_eq!(scene.until_hint(3).await, Some(4));
    scene.until_hint(4).await;
    assert!(scene.now() <= 92_500, "{}", scene.now());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_says_a_word_is_never_healthy() {
    let scene = Scene::new([Try::Stream(FOREVER)]);

    assert_eq!(scene.pause(0, 12_000, FOREVER).await, (0, 12_000));

    let opened = scene.opened();
    assert_eq!(opened.len(), 2);
    assert!((10_750..=11_250).contains(&opened[1]), "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_neither_a_comment_nor_an_event_do_not_make_it_healthy() {
    let scene = Scene::new([Try::Stream(FOREVER)]);
    for second in 0..12 {
        scene.later(second * 1_000, "<p>no stream</p>\n\n");
    }

    assert_eq!(scene.pause(0, 12_000, FOREVER).await, (0, 12_000));

    assert_eq!(scene.opened().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_as_good_a_beginning_as_a_comment() {
    let scene = Scene::new([Try::Stream(FOREVER)]);
    scene.later(9_000, BEAT);

    assert_eq!(scene.until_hint(0).await, Some(1));

    assert_eq!((scene.now(), scene.healthy()), (9_000, true));
}

#[tokio::test(start_paused = true)]
async fn a_platform_in_trouble_is_asked_at_growing_intervals() {
    let scene = Scene::new([]);

    scene.pause(0, 600_000, FOREVER).await;

    let opened = scene.opened();
    let gaps: Vec<_> = opened.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000).collect();
    for (gap, expected) in gaps.iter().zip([1, 2, 4, 8, 16, 32, 60, 60]) {
        assert!((expected * 3 / 4..=expected * 5 / 4).contains(gap), "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_intervals_are_short_again_after_a_healthy_minute() {
    let failures = || [Try::Fails(0), Try::Fails(0), Try::Fails(0), Try::Fails(0), Try::Stream(0)];
    for (healthy_ms, next) in [(61_000, 750..=1_250), (59_000, 12_000..=20_000)] {
        let scene = Scene::new(failures());
        scene.until_hint(0).await;
        scene.later(30_000, BEAT);
        time::sleep(Duration::from_millis(healthy_ms)).await;
        let ended = scene.now();
        scene.hang_up();

        scene.pause(2, ended + 40_000, FOREVER).await;

        let pause = scene.opened()[5] - ended;
        assert!(next.contains(&pause), "{pause} after {healthy_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_asks_for_peace_gets_it() {
    let scene = Scene::new([Try::Fails(120_000)]);

    scene.pause(0, 200_000, FOREVER).await;

    assert_eq!(scene.opened()[1], 120_000);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_stream_it_is_asked_for_seldom() {
    let scene = Scene::new(std::iter::repeat_n(Try::Absent, 100));
    let mut now = 0;
    while now < 3_600_000 {
        now = scene.pause(0, now + 5_000, now + 15_000).await.1;
    }

    let opened = scene.opened();
    assert!((5..=9).contains(&opened.len()), "{opened:?}");
    assert!(opened.windows(2).all(|pair| pair[1] - pair[0] >= 450_000), "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn another_token_is_a_reason_to_ask_again() {
    let scene = Scene::new([Try::Absent, Try::Stream(0)]);
    scene.pause(0, 5_000, FOREVER).await;
    scene.source.changed.store(true, Ordering::Relaxed);

    assert_eq!(scene.until_hint(0).await, Some(1));

    assert_eq!(scene.opened(), [0, 5_000]);
}

#[tokio::test(start_paused = true)]
async fn the_stream_is_closed_a_minute_after_the_last_listener() {
    let scene = Scene::healthy_one().await;
    scene.pause(1, 1_000, 15_000).await;
    scene.later(40_000 - 15_000, BEAT);

    time::sleep(Duration::from_millis(59_000)).await;
    assert!(scene.healthy());
    time::sleep(Duration::from_millis(1_001)).await;

    assert!(!scene.healthy());
    assert!(scene.is_hung_up());
}

#[tokio::test(start_paused = true)]
async fn whoever_listens_after_that_opens_another_one() {
    let scene = Scene::new([Try::Stream(0); 3]);
    scene.pause(1, 0, 0).await;
    time::sleep(Duration::from_secs(600)).await;
    assert_eq!(scene.opened().len(), 2, "one that was silent, and its successor");

    let count = scene.pause(0, 600_000, 600_000).await.0;

    assert_eq!(scene.until_hint(count).await, Some(count + 1));
    assert_eq!(scene.opened().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_given_up_takes_nothing_with_it() {
    let scene = Scene::healthy_one().await;
    let dropped = time::timeout(Duration::from_secs(1), scene.until_hint(1)).await;
    assert!(dropped.is_err());
    scene.say(ROW);

    assert_eq!(scene.until_hint(1).await, Some(2));

    assert_eq!(scene.opened().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_its_owner() {
    let scene = Scene::healthy_one().await;
    let source = Arc::clone(&scene.source);

    drop(scene);
    time::sleep(Duration::from_millis(1)).await;

    assert!(source.stream.lock().unwrap().as_ref().unwrap().is_closed());
}

/// What comes of asking for the stream.
#[derive(Clone, Copy)]
enum Try {
    Absent,
    /// And asks to be left alone for so many milliseconds.
    Fails(u64),
    /// With its first comment after so many milliseconds.
    Stream(u64),
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_takes_no_connections_is_not_kept_waiting_by_the_stream() {
    let scene = Scene::healthy_one().await;

    scene.events.platform_is_away();
    let count = scene.until_hint(1).await.unwrap();

    assert_eq!((count, scene.is_hung_up()), (2, true));
    assert!(!scene.healthy());
}

struct Scene {
    events: Events<Script>,
    source: Arc<Script>,
    clock: Clock,
}

/// Fails once it has come to its end.
struct Script {
    tries: Mutex<VecDeque<Try>>,
    opened: Mutex<Vec<u64>>,
    stream: Mutex<Option<mpsc::UnboundedSender<Bytes>>>,
    changed: AtomicBool,
    clock: Clock,
}

impl Source for Script {
    async fn open(&self) -> Result<Chunks, Closed> {
        self.opened.lock().unwrap().push(self.clock.now());
        let failed = |ms| {
            let retry_after = Some(Duration::from_millis(ms)).filter(|pause| !pause.is_zero());
            Err(Closed::Failed { reason: "HTTP 502".to_owned(), retry_after })
        };
        match self.tries.lock().unwrap().pop_front().unwrap_or(Try::Fails(0)) {
            Try::Absent => Err(Closed::Absent("HTTP 404".to_owned())),
            Try::Fails(ms) => failed(ms),
            Try::Stream(ms) => {
                let (sender, receiver) = mpsc::unbounded_channel();
                write_later(sender.downgrade(), ms, PING);
                *self.stream.lock().unwrap() = Some(sender);
                let body = stream::unfold(receiver, |mut receiver| async {
                    Some((Ok(receiver.recv().await?), receiver))
                });
                Ok(body.boxed())
            }
        }
    }

    fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }
}

impl Scene {
    fn new(tries: impl IntoIterator<Item = Try>) -> Self {
        let clock = Clock::tokio();
        let source = Arc::new(Script {
            tries: Mutex::new(tries.into_iter().collect()),
            opened: Mutex::default(),
            stream: Mutex::default(),
            changed: AtomicBool::default(),
            clock,
        });
        let chance = fastrand::Rng::with_seed(7);
        let events = Events::new(Arc::clone(&source), clock, Pace::default(), chance);
        Self { events, source, clock }
    }

    /// With a healthy stream, and one hint.
    async fn healthy_one() -> Self {
        let scene = Self::new([Try::Stream(0)]);
        assert_eq!(scene.pause(0, 1, 1).await, (1, 0));
        scene
    }

    /// The count of hints once there is another one; none if there is none in 10 hours.
    async fn until_hint(&self, over: u64) -> Option<u64> {
        let limit = self.now() + 36_000_000;
        let count = self.pause(over, limit, limit).await.0;
        Some(count).filter(|count| *count > over)
    }

    /// The count of hints after a pause, and when it ended.
    async fn pause(&self, over: u64, until: u64, until_with_events: u64) -> (u64, u64) {
        let listen = Listen { workspace: 0, hints_over: over, until, until_with_events };
        let count = self.events.listen(&listen).await;
        (count, self.now())
    }

    fn say(&self, text: &'static str) {
        self.source
            .stream
            .lock()
            .unwrap()
            .as_ref()
            .unwrap()
            .send(Bytes::from_static(text.as_bytes()))
            .unwrap();
    }

    /// Says it on the stream that is open after so many milliseconds.
    fn later(&self, ms: u64, text: &'static str) {
        let source = Arc::clone(&self.source);
        tokio::spawn(async move {
            time::sleep(Duration::from_millis(ms)).await;
            if let Some(stream) = source.stream.lock().unwrap().as_ref() {
                let _ = stream.send(Bytes::from_static(text.as_bytes()));
            }
        });
    }

    fn hang_up(&self) {
        *self.source.stream.lock().unwrap() = None;
    }

    fn is_hung_up(&self) -> bool {
        self.source.stream.lock().unwrap().as_ref().unwrap().is_closed()
    }

    fn healthy(&self) -> bool {
        self.events.heard.borrow().healthy
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn opened(&self) -> Vec<u64> {
        self.source.opened.lock().unwrap().clone()
    }
}

fn write_later(stream: mpsc::WeakUnboundedSender<Bytes>, ms: u64, text: &'static str) {
    tokio::spawn(async move {
        time::sleep(Duration::from_millis(ms)).await;
        if let Some(stream) = stream.upgrade() {
            let _ = stream.send(Bytes::from_static(text.as_bytes()));
        }
    });
}
