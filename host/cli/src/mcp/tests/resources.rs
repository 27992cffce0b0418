//! What can be read without a tool, and who is told of changes.

use super::*;

const INBOX: &str = "molecule://inbox";

#[tokio::test(start_paused = true)]
async fn inbox_and_workspace_are_listed_and_others_are_unknown() {
    let mut wire = Wire::new();

    let listed = wire.ask(1, "resources/list", json!({})).await;
    let unknown = wire.ask(2, "resources/read", json!({ "uri": "molecule://nothing" })).await;
    let refused = wire.ask(3, "resources/subscribe", json!({ "uri": "file:///etc/passwd" })).await;

    let uris: Vec<_> =
        listed["result"]["resources"].as_array().unwrap().iter().map(|resource| &resource["uri"]).collect();
    assert_eq!(uris, [INBOX, "molecule://workspace"]);
    for answer in [unknown, refused] {
        assert!(
            answer["error"]["message"].as_str().unwrap().contains("resources/list names all"),
            "{answer}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_with_a_handshake_is_told_of_changes_once_it_asked_and_no_longer_than_it_wants() {
    let mut wire = Wire::new();
    wire.arrivals.send_modify(|count| *count += 1);
    wire.is_silent().await;

    wire.ask(1, "resources/subscribe", json!({ "uri": INBOX })).await;
    wire.is_silent().await;
    wire.arrivals.send_modify(|count| *count += 1);

    let told = wire.answer().await;
    assert_eq!(told["method"], "notifications/resources/updated");
    assert_eq!(told["params"]["uri"], INBOX);
    wire.ask(2, "resources/unsubscribe", json!({ "uri": INBOX })).await;
    wire.arrivals.send_modify(|count| *count += 1);
    wire.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_stateless_client_is_told_through_its_subscription() {
    let mut wire = Wire::new();
    let wanted = json!({ "resourceSubscriptions": [INBOX] });
    let listen = json!({ "_meta": stateless("2026-07-28"), "notifications": wanted });
    wire.request("listen:0", "subscriptions/listen", listen).await;
    let acknowledged = wire.answer().await;
    assert_eq!(
        acknowledged["params"]["notifications"]["resourceSubscriptions"],
        json!([INBOX]),
        "{acknowledged}"
    );
    wire.is_silent().await;

    wire.arrivals.send_modify(|count| *count += 1);

    let told = wire.answer().await;
    assert_eq!(told["method"], "notifications/resources/updated");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "listen:0", "{told}");
}
