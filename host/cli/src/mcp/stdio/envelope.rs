//! The outside of a JSON-RPC message: which members it has, and how often.

use std::{borrow::Cow, fmt};

use rmcp::model::RequestId;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Longer ids are not remembered, and so not answered.
pub(super) const ID_BYTES: usize = 1024;

/// The members of a JSON object that make it a message; their values are not looked into.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub(super) jsonrpc: Field<'a>,
    pub(super) id: Field<'a>,
    pub(super) method: Field<'a>,
    pub(super) params: Field<'a>,
    pub(super) result: Field<'a>,
    pub(super) error: Field<'a>,
}

/// A member. Which of two with one name is meant, nobody knows.
#[derive(Debug, Default)]
pub(super) enum Field<'a> {
    #[default]
    Absent,
    Once(&'a RawValue),
    Twice,
}

impl Envelope<'_> {
    pub(super) fn is_version_2(&self) -> bool {
        matches!(&self.jsonrpc, Field::Once(version) if version.get() == "\"2.0\"")
    }
}

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a RawValue) {
        *self = match self {
            Self::Absent => Self::Once(value),
            Self::Once(_) | Self::Twice => Self::Twice,
        };
    }
}

/// An id that can be echoed exactly. Other numbers would come back rounded.
pub(super) fn id(raw: &RawValue) -> Option<RequestId> {
    let text = raw.get();
    if !text.starts_with('"') {
        return text.parse().ok().map(RequestId::Number);
    }
    let id = serde_json::from_str::<Cow<'_, str>>(text).ok()?;
    (id.len() <= ID_BYTES).then(|| RequestId::String(id.into()))
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Jsonrpc,
    Id,
    Method,
    Params,
    Result,
    Error,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Envelope<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(key) = map.next_key()? {
            let field = match key {
                Key::Jsonrpc => &mut envelope.jsonrpc,
                Key::Id => &mut envelope.id,
                Key::Method => &mut envelope.method,
                Key::Params => &mut envelope.params,
                Key::Result => &mut envelope.result,
                Key::Error => &mut envelope.error,
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            field.add(map.next_value()?);
        }
        Ok(envelope)
    }
}
