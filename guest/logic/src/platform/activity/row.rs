//! What a row says: as much of it as a message or a filter needs.

use serde::de::MapAccess;

use crate::{
    platform::{parts::Parts, stamp::Stamp},
    text::lenient_json::{self, Field, Shape},
};

/// One row. Texts are empty where the platform tells none.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// When it was made, or a guess that keeps it in its place.
    pub(crate) stamp: Stamp,
    /// Whether it says when it was made.
    pub(crate) timed: bool,
    pub(crate) created_at: String,
    pub(crate) activity_type: String,
    pub(crate) source_id: String,
    pub(crate) target_id: String,
    pub(crate) method: String,
    pub(crate) summary: String,
    pub(crate) status: String,
    pub(crate) error_detail: String,
    /// The name and the role of the workspace that sent it, from platforms that look them up.
    pub(crate) peer_name: String,
    pub(crate) peer_role: String,
    /// What was sent, if the row says so.
    pub(crate) request: Option<RequestBody>,
    /// What was answered, if the row says so.
    pub(crate) response: Option<ResponseBody>,
    /// The platform has called the agent, and has measured how long that took.
    pub(crate) was_called: bool,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            id: String::new(),
            stamp: Stamp::UNKNOWN,
            timed: false,
            created_at: String::new(),
            activity_type: String::new(),
            source_id: String::new(),
            target_id: String::new(),
            method: String::new(),
            summary: String::new(),
            status: String::new(),
            error_detail: String::new(),
            peer_name: String::new(),
            peer_role: String::new(),
            request: None,
            response: None,
            was_called: false,
        }
    }
}

impl Row {
    /// Reads a row even if something in it is beyond reading.
    pub(super) fn read(json: &str) -> Option<Self> {
        lenient_json::object(json).or_else(|| lenient_json::object(json).map(|Envelope(row)| row))
    }
}

impl Shape for Row {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "duration_ms" => self.was_called = value.holds_number()?,
            "request_body" => self.request = value.object_or_its_text()?,
            "response_body" => self.response = value.object_if_there()?,
            _ => match self.line(key) {
                Some(line) => *line = value.text()?,
                None => value.skip()?,
            },
        }
        Ok(())
    }
}

impl Row {
    /// The field that holds one line.
    fn line(&mut self, key: &str) -> Option<&mut String> {
        Some(match key {
            "id" => &mut self.id,
            "created_at" => &mut self.created_at,
            "activity_type" => &mut self.activity_type,
            "source_id" => &mut self.source_id,
            "target_id" => &mut self.target_id,
            "method" => &mut self.method,
            "summary" => &mut self.summary,
            "status" => &mut self.status,
            "error_detail" => &mut self.error_detail,
            "peer_name" => &mut self.peer_name,
            "peer_role" => &mut self.peer_role,
            _ => return None,
        })
    }
}

/// A row with something beyond reading in it, by the rest of its lines.
#[derive(Default)]
struct Envelope(Row);

impl Shape for Envelope {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "duration_ms" => self.0.was_called = value.holds_number()?,
            "request_body" => self.0.request = value.json_if_there()?.map(|_| RequestBody::default()),
            "response_body" => self.0.response = value.json_if_there()?.map(|_| ResponseBody::default()),
            _ => match self.0.line(key) {
                Some(line) => *line = value.text_of_anything()?,
                None => value.skip()?,
            },
        }
        Ok(())
    }
}

/// The request that a row tells of.
#[derive(Debug, Default)]
pub(crate) struct RequestBody {
    /// How many fields it has that are not null.
    pub(crate) fields: usize,
    /// It is a message between agents, whatever it claims to be.
    pub(crate) jsonrpc: bool,
    pub(crate) params: Params,
    pub(crate) parts: Parts,
    /// Of a file that waits on the platform.
    pub(crate) file: WaitingFile,
    pub(crate) delegation_id: Option<String>,
}

impl Shape for RequestBody {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        let is_there = match key {
            "jsonrpc" => {
                self.jsonrpc = value.exists()?;
                self.jsonrpc
            }
            "params" => {
                let params = value.object_if_there()?;
                let is_there = params.is_some();
                self.params = params.unwrap_or_default();
                is_there
            }
            "parts" => {
                value.each(|part| self.parts.add(part))?;
                true
            }
            "delegation_id" => {
                self.delegation_id = value.text_if_there()?;
                self.delegation_id.is_some()
            }
            _ => self.file.take(key, value)?,
        };
        self.fields = self.fields.saturating_add(is_there.into());
        Ok(())
    }
}

/// A file that waits on the platform.
#[derive(Debug, Default, Clone)]
pub(crate) struct WaitingFile {
    /// How many of its five fields are there, and not null.
    pub(crate) fields: usize,
    pub(crate) file_id: String,
    pub(crate) name: String,
    pub(crate) mime_type: String,
    pub(crate) uri: String,
    pub(crate) size: Option<u64>,
}

impl WaitingFile {
    /// Takes one field; says whether it is there, and not null.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<bool, A::Error> {
        let line = match key {
            "file_id" => &mut self.file_id,
            "name" => &mut self.name,
            "mimeType" => &mut self.mime_type,
            "uri" => &mut self.uri,
            "size" => {
                let size = value.json_if_there()?;
                let is_there = size.is_some();
                self.size = size.and_then(|size| size.parse().ok());
                self.fields = self.fields.saturating_add(is_there.into());
                return Ok(is_there);
            }
            _ => return value.exists(),
        };
        let text = value.text_if_there()?;
        let is_there = text.is_some();
        *line = text.unwrap_or_default();
        self.fields = self.fields.saturating_add(is_there.into());
        Ok(is_there)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Params {
    pub(crate) message: MessageBody,
    pub(crate) parts: Parts,
}

impl Shape for Params {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "message" => self.message = value.object()?,
            "parts" => value.each(|part| self.parts.add(part))?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(crate) struct MessageBody {
    pub(crate) parts: Parts,
    /// Only in rows of old platforms.
    pub(crate) content: String,
}

impl Shape for MessageBody {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "parts" => value.each(|part| self.parts.add(part))?,
            "content" => self.content = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// The answer that a row tells of.
#[derive(Debug, Default)]
pub(crate) struct ResponseBody {
    pub(crate) has_result: bool,
    /// Of an own message to the user: its files.
    pub(crate) parts: Parts,
    /// Of a delegation result.
    pub(crate) text: String,
}

impl Shape for ResponseBody {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "parts" => value.each(|part| self.parts.add(part))?,
            "result" => self.has_result = value.exists()?,
            "text" => self.text = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}
