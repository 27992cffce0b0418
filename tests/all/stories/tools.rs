//! Every tool, against the platform in memory.

use molecule_tests::story::Setting;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn peers_are_those_that_the_platform_lists() {
    let story = Setting::default().begin();
    let peer = story.world().platform().poll_peer("Research");

    let peers = story.asks("list_peers", json!({})).await;

    assert_eq!(peers.text(), format!("- Research (ID: {}, status: online, role: )", peer.id));
}
