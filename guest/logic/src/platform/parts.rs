//! The parts of a message, in every variant that senders use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::MapAccess};

use crate::text::lenient_json::{Field, Shape};

/// No message of a person or an agent has more; the rest would only fill memory.
const MOST_ATTACHMENTS: usize = 1_000;

/// A file that came with a message. At least `uri` or `name` is there, or it came inline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Attachment {
    /// file, image, audio or video.
    pub(crate) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mime_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Where it is on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// How many bytes it has there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// Why it is not on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_here: Option<String>,
}

impl Attachment {
    /// A file whose kind follows from its MIME type.
    pub(crate) fn of_type(mime_type: String, uri: String, name: String) -> Self {
        Self {
            kind: kind_of(&mime_type).to_owned(),
            uri: filled(uri),
            mime_type: filled(mime_type),
            name: filled(name),
            ..Self::default()
        }
    }
}

/// What a list of parts says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Parts {
    /// The texts of all text parts, one after the other.
    pub(crate) text: String,
    /// The JSON of all data parts, one a line.
    pub(crate) data: String,
    pub(crate) attachments: Vec<Attachment>,
}

impl Parts {
    pub(crate) fn add(&mut self, part: Part) {
        let part = part.root.unwrap_or(part.own);
        match part.kind() {
            "text" => self.text.push_str(&part.text),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(&part.data);
            }
            "file" | "image" | "audio" | "video" => self.attach(part.attachment()),
            "" if part.text.is_empty() => self.attach(part.attachment()),
            "" => self.text.push_str(&part.text),
            _ => {}
        }
    }

    fn attach(&mut self, attachment: Option<Attachment>) {
        if self.attachments.len() < MOST_ATTACHMENTS {
            self.attachments.extend(attachment);
        }
    }
}

/// One part as it was sent.
#[derive(Default)]
pub(crate) struct Part {
    own: Content,
    /// Old senders wrap the part.
    root: Option<Content>,
}

impl Shape for Part {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "root" => self.root = value.object_if_there()?,
            _ => self.own.field(key, value)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Content {
    kind: String,
    r#type: String,
    text: String,
    data: String,
    file: File,
    inline: File,
}

impl Content {
    fn kind(&self) -> &str {
        if self.kind.is_empty() { &self.r#type } else { &self.kind }
    }

    /// The file of this part: described in an object of its own, or by the part itself.
    fn attachment(self) -> Option<Attachment> {
        let kind = self.kind().to_owned();
        let pick = |one: String, other: String| if one.is_empty() { other } else { one };
        let bytes = self.file.bytes || self.inline.bytes;
        let mut attachment = Attachment::of_type(
            pick(self.file.mime_type, self.inline.mime_type),
            pick(self.file.uri, self.inline.uri),
            pick(self.file.name, self.inline.name),
        );
        if !kind.is_empty() {
            attachment.kind = kind;
        }
        (bytes || attachment.uri.is_some() || attachment.name.is_some()).then_some(attachment)
    }
}

impl Shape for Content {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "kind" => self.kind = value.text()?,
            "type" => self.r#type = value.text()?,
            "text" => self.text = value.text()?,
            "data" => self.data = value.json_if_there()?.unwrap_or_default(),
            "file" => self.file = value.object()?,
            _ => self.inline.field(key, value)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct File {
    uri: String,
    name: String,
    mime_type: String,
    bytes: bool,
}

impl Shape for File {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        let line = match key {
            "uri" | "url" => &mut self.uri,
            "name" | "filename" => &mut self.name,
            "mimeType" | "mime_type" | "mediaType" => &mut self.mime_type,
            "bytes" => {
                self.bytes = value.exists()?;
                return Ok(());
            }
            _ => return value.skip(),
        };
        // Another spelling may be there beside it, and null.
        if let Some(text) = value.text_if_there()? {
            *line = text;
        }
        Ok(())
    }
}

fn kind_of(mime_type: &str) -> &'static str {
    match mime_type.split('/').next().unwrap_or_default() {
        "image" => "image",
        "audio" => "audio",
        "video" => "video",
        _ => "file",
    }
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::text::lenient_json;

    #[test]
    fn texts_of_all_spellings_are_joined_and_others_are_skipped() {
        let parts = parts(&json!([
            {"kind": "text", "text": "one "},
            {"type": "text", "text": "two "},
            {"root": {"kind": "text", "text": "three "}},
            {"text": "four"},
            {"kind": "text", "text": null},
            {"root": null, "kind": "data", "data": null},
            {"kind": "text", "text": 7},
            {"kind": "text"},
            {"kind": "tool", "text": "not a text part"},
            "five", 6, null, [], {},
        ]));

        assert_eq!(parts, Parts { text: "one two three four".to_owned(), ..Parts::default() });
    }

    #[test]
    fn files_of_all_spellings_are_attachments() {
        let parts = parts(&json!([
            {"kind": "file", "file": {"name": "a.png", "mimeType": "image/png", "uri": "workspace:/a.png", "size": 1}},
            {"type": "file", "file": {"name": "b", "mime_type": "text/plain", "uri": "file:///b"}},
            {"kind": "image", "uri": "https://c", "name": "c"},
            {"kind": "file", "file": {"name": "d", "bytes": "AAAA"}},
            {"url": "https://e", "filename": "e.mp3", "mediaType": "audio/mpeg"},
            {"root": {"kind": "file", "file": {"name": "f"}}},
            {"kind": "file", "file": {"mimeType": "text/plain"}},
            {"kind": "file", "file": "g"},
        ]));

        let shown = serde_json::to_value(&parts.attachments).unwrap();
        assert_eq!(
            shown,
            json!([
                {"kind": "file", "uri": "workspace:/a.png", "mime_type": "image/png", "name": "a.png"},
                {"kind": "file", "uri": "file:///b", "mime_type": "text/plain", "name": "b"},
                {"kind": "image", "uri": "https://c", "name": "c"},
                {"kind": "file", "name": "d"},
                {"kind": "audio", "uri": "https://e", "mime_type": "audio/mpeg", "name": "e.mp3"},
                {"kind": "file", "name": "f"},
            ])
        );
    }

    #[test]
    fn data_is_kept_as_it_was_written() {
        let parts =
            parts(&json!([{"kind": "data", "data": {"b": [1, {"a": null}]}}, {"kind": "data", "data": 2}]));

        assert_eq!(parts.data, "{\"b\":[1,{\"a\":null}]}\n2");
    }

    fn parts(list: &Value) -> Parts {
        #[derive(Default)]
        struct Holder(Parts);
        impl Shape for Holder {
            fn field<'de, A: MapAccess<'de>>(
                &mut self,
                _: &str,
                value: Field<'_, A>,
            ) -> Result<(), A::Error> {
                value.each(|part| self.0.add(part))
            }
        }
        lenient_json::object::<Holder>(&json!({ "parts": list }).to_string()).unwrap().0
    }
}
