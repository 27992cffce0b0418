//! What answers in front of a platform, and a platform that is busy.

use super::*;

#[tokio::test(start_paused = true)]
async fn something_in_front_of_the_platform_ends_nothing_and_is_said() {
    let scene = Scene::new(|call| match call.count {
        0..=3 => page(403),
        _ => ok(),
    });
    scene.begin();

    time::sleep(Duration::from_secs(60)).await;

    assert!(!scene.accepted().is_empty());
    assert_eq!(scene.times("register").len(), 5);
    let warned = scene.logged(Level::Warn).concat();
    assert!(
        warned.contains("HTTP 403 with a web page, so that something in front of the platform"),
        "{warned}"
    );
    assert!(!warned.contains("Tokens tab"), "{warned}");
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_busy_for_ever_is_asked_ever_less() {
    let scene = Scene::new(|_| Reply { after_ms: LATENCY_MS, outcome: busy(1_000) });
    scene.begin();

    time::sleep(Duration::from_millis(BEGIN_MS + 22_000)).await;
    let early = scene.times("register").len() + scene.times("heartbeat").len();
    time::sleep(Duration::from_secs(600)).await;
    let late = scene.times("register").len() + scene.times("heartbeat").len() - early;

    assert!(early <= 12, "{early} requests in 22 s");
    assert!(late <= 80, "{late} requests in 10 minutes");
}

/// A page of something in front of the platform.
pub(super) fn page(status: u16) -> Reply {
    let Reply { after_ms, outcome } = answer(status, "<!doctype html><title>Sign in</title>");
    let Outcome::Responded(response) = outcome else { panic!("{outcome:?}") };
    Reply { after_ms, outcome: Outcome::Responded(PlatformResponse { json: false, ..response }) }
}
