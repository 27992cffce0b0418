//! Tells the platform that this workspace is here, and by which card others know it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{exchange, rules::Answer};
use crate::{
    account::{Account, Token},
    driver::Ports,
    guest::wire::Limits,
};

const LIMITS: Limits = Limits { first_byte_ms: 10_000, total_ms: 10_000, body_bytes: 1 << 20 };
/// The key under which the platform issues a token.
const TOKEN: &str = "auth_token";

/// What a register asks for. The order of the keys is the reference client's.
#[derive(Serialize)]
struct Register<'a> {
    id: &'a str,
    /// There is no address at which the platform could call.
    url: &'a str,
    agent_card: Card<'a>,
    delivery_mode: &'a str,
}

#[derive(Serialize)]
struct Card<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    skills: Vec<Skill<'a>>,
}

#[derive(Serialize)]
struct Skill<'a> {
    name: &'a str,
}

/// What the operator and the guest should know of a successful register.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Registered {
    /// The answer without any token.
    pub(super) body: Vec<u8>,
    /// What is odd about it.
    pub(super) warnings: Vec<String>,
    /// How the platform delivers messages, in its own word.
    pub(super) delivery_mode: Option<String>,
    /// A token that came although one was sent.
    pub(super) issued: Option<Token>,
}

/// Registers once.
pub(super) async fn register<P: Ports>(ports: &P, account: &Account) -> Answer {
    let card = Card {
        name: &account.card.name,
        description: account.card.description.as_deref(),
        skills: account.card.skills.iter().map(|name| Skill { name }).collect(),
    };
    let body = Register { id: &account.id, url: "", agent_card: card, delivery_mode: "poll" };
    exchange::post(ports, account.handle(), "register", &body, LIMITS).await
}

/// Looks at the body of a successful register, which may be anything.
pub(super) fn read(body: &[u8], workspace: &str) -> Registered {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(body) else { return Registered::default() };
    let mut warnings = Vec::new();
    let issued = answer.remove(TOKEN);
    let issued = issued.and_then(|token| Token::parse(token.as_str()?).ok());
    let mode = answer.get("delivery_mode").and_then(|mode| String::deserialize(mode).ok());
    let mode = mode.map(|mode| crate::text::one_line(&mode));
    if let Some(mode) = mode.as_ref().filter(|mode| *mode != "poll") {
        warnings.push(format!(
            "the platform delivers the messages of workspace {workspace} by `{mode}` instead of `poll`: they will \
             not reach the inbox"
        ));
    }
    Registered {
        body: serde_json::to_vec(&answer).unwrap_or_default(),
        warnings,
        delivery_mode: mode,
        issued,
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_plain_answer_is_passed_on() {
        let body = br#"{"status":"registered","delivery_mode":"poll","platform_inbound_secret":"s"}"#;

        let expected = Registered {
            body: body.to_vec(),
            delivery_mode: Some("poll".to_owned()),
            ..Registered::default()
        };
        assert_eq!(read(body, "w-1"), expected);
    }

    #[test]
    fn a_token_is_taken_out_and_told_by_nothing_yet() {
        let body = br#"{"status":"registered","auth_token":"canary","platform_inbound_secret":"s"}"#;

        let Registered { body, warnings, issued, .. } = read(body, "w-1");

        assert_eq!(body, br#"{"status":"registered","platform_inbound_secret":"s"}"#);
        assert_eq!(issued.unwrap().reveal(), "canary");
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn an_empty_token_is_none() {
        for body in [r#"{"auth_token":""}"#, r#"{"auth_token":null}"#, r#"{"auth_token":7}"#] {
            let read = read(body.as_bytes(), "w-1");

            assert_eq!(read, Registered { body: b"{}".to_vec(), ..Registered::default() });
        }
    }

    #[test]
    fn another_delivery_mode_is_told() {
        let Registered { warnings, .. } = read(br#"{"delivery_mode":"push"}"#, "w-1");

        assert!(warnings.concat().contains("`push`"), "{warnings:?}");
    }

    #[test]
    fn an_answer_that_is_no_object_is_nothing() {
        for body in ["", "ok", "[]", "{\"auth_token\":\"canary\"", "\u{0}"] {
            assert_eq!(read(body.as_bytes(), "w-1"), Registered::default(), "{body:?}");
        }
    }
}
