//! Tells the platform that this workspace is here, and by which card others know it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Member, exchange, rules::Answer};
use crate::{driver::Ports, guest::wire::Limits};

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
}

/// Registers once.
pub(super) async fn register<P: Ports>(ports: &P, member: &Member) -> Answer {
    let card = Card {
        name: &member.card.name,
        description: member.card.description.as_deref(),
        skills: member.card.skills.iter().map(|name| Skill { name }).collect(),
    };
    let body = Register { id: &member.workspace, url: "", agent_card: card, delivery_mode: "poll" };
    exchange::post(ports, "register", &body, LIMITS).await
}

/// Looks at the body of a successful register, which may be anything.
pub(super) fn read(body: &[u8], member: &Member) -> Registered {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(body) else { return Registered::default() };
    let mut warnings = Vec::new();
    let workspace = &member.workspace;
    if answer.remove(TOKEN).is_some_and(|token| token.as_str().is_some_and(|token| !token.is_empty())) {
        // For a deleted workspace the platform issues tokens that open nothing.
        warnings.push(format!(
            "the platform issued another token for workspace {workspace} although one was sent: the workspace \
             was deleted, or all its tokens were revoked; the token from {} stays in use, and if the tools \
             answer HTTP 401, look for the workspace in the canvas and regenerate the token in its Tokens tab",
            member.source
        ));
    }
    let mode = answer.get("delivery_mode").and_then(|mode| String::deserialize(mode).ok());
    if let Some(mode) = mode.filter(|mode| mode != "poll") {
        warnings.push(format!(
            "the platform delivers the messages of workspace {workspace} by `{}` instead of `poll`: they will \
             not reach the inbox",
            crate::ports::one_line(&mode)
        ));
    }
    Registered { body: serde_json::to_vec(&answer).unwrap_or_default(), warnings }
}

#[cfg(test)]
mod tests {
    use crate::settings::AgentCard;

    use super::*;

    #[test]
    fn a_plain_answer_is_passed_on() {
        let body = br#"{"status":"registered","delivery_mode":"poll","platform_inbound_secret":"s"}"#;

        assert_eq!(read(body, &member()), Registered { body: body.to_vec(), warnings: vec![] });
    }

    #[test]
    fn a_token_is_taken_out_and_told() {
        let body = br#"{"status":"registered","auth_token":"canary","platform_inbound_secret":"s"}"#;

        let Registered { body, warnings } = read(body, &member());

        assert_eq!(body, br#"{"status":"registered","platform_inbound_secret":"s"}"#);
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        for word in ["w-1", "deleted", "revoked", "TOKEN_SOURCE", "Tokens tab"] {
            assert!(warning.contains(word), "{word} in {warning}");
        }
        assert!(!warning.contains("canary"));
    }

    #[test]
    fn an_empty_token_is_none() {
        for body in [r#"{"auth_token":""}"#, r#"{"auth_token":null}"#, r#"{"auth_token":7}"#] {
            assert_eq!(
                read(body.as_bytes(), &member()),
                Registered { body: b"{}".to_vec(), warnings: vec![] }
            );
        }
    }

    #[test]
    fn another_delivery_mode_is_told() {
        let Registered { warnings, .. } = read(br#"{"delivery_mode":"push"}"#, &member());

        assert!(warnings.concat().contains("`push`"), "{warnings:?}");
    }

    #[test]
    fn an_answer_that_is_no_object_is_nothing() {
        for body in ["", "ok", "[]", "{\"auth_token\":\"canary\"", "\u{0}"] {
            assert_eq!(read(body.as_bytes(), &member()), Registered::default(), "{body:?}");
        }
    }

    fn member() -> Member {
        let card = AgentCard { name: "n".to_owned(), description: None, skills: vec![] };
        Member { workspace: "w-1".to_owned(), source: "TOKEN_SOURCE".to_owned(), card }
    }
}
