//! What an agent reads.

use molecule_runtime::guest::{GuestDown, wire::Answer};
use serde_json::Value;

/// What a tool answered, or why it could not.
#[derive(Debug)]
pub struct Said(Result<Answer, String>);

impl Said {
    /// # Panics
    /// When a client could not read the answer.
    pub(super) fn of(answered: Result<Answer, GuestDown>) -> Self {
        if let Ok(answer) = &answered {
            assert_readable(answer);
        }
        Self(answered.map_err(|down| down.to_string()))
    }

    /// The first text block, or why there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.0 {
            Ok(answer) => answer.text.first().map_or("", String::as_str),
            Err(why) => why,
        }
    }

    /// All text blocks; none if there is no answer.
    #[must_use]
    pub fn blocks(&self) -> &[String] {
        self.0.as_ref().map_or(&[], |answer| &answer.text)
    }

    /// The text as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_default()
    }

    /// The same facts for programs, if they asked for them; else null.
    #[must_use]
    pub fn structured(&self) -> Value {
        let facts = self.0.as_ref().ok().and_then(|answer| answer.structured.as_deref());
        facts.and_then(|facts| serde_json::from_str(facts).ok()).unwrap_or_default()
    }

    /// Whether the tool failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.0.as_ref().map_or(true, |answer| answer.is_error)
    }

    /// Whether there is no answer at all, because the guest trapped.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.is_err()
    }
}

/// What every answer has to be: Gemini shows nothing of a text whose JSON is no object, and Copilot shows
/// the texts of an answer without a break between them.
fn assert_readable(answer: &Answer) {
    for (place, text) in answer.text.iter().enumerate() {
        if let Ok(json) = serde_json::from_str::<Value>(text) {
            assert!(json.is_object(), "the top of a text is JSON and no object: {text}");
        }
        assert!(place == 0 || text.starts_with('\n'), "glued to the text before it: {text}");
    }
    assert!(!answer.text.is_empty(), "an answer without a text: {answer:?}");
}
