//! YAML: lines are put in and taken out, because no library writes back what it read.
//!
//! Only block style is changed, which is what people and programs write; what the lines come to is compared afterwards.

use serde_json::{Map, Value};

/// Spaces before an entry, where there is no other entry.
const INDENT: usize = 2;

pub(super) fn with(
    text: &str,
    at: &[&str],
    name: &str,
    entry: &Map<String, Value>,
) -> Result<String, String> {
    let [section] = at else { return Err(super::by_hand()) };
    let entry = match super::Format::Yaml.entry(text, at, name) {
        Some(there) if entry.iter().all(|(field, value)| there.get(field) == Some(value)) => {
            return Ok(text.to_owned());
        }
        Some(mut there) => {
            there.extend(entry.clone());
            there
        }
        None => entry.clone(),
    };
    let text = without(text, at, name)?;
    let Some(begin) = section_line(&text, section) else {
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return Ok(format!("{text}{gap}{section}:\n{}", block(name, &entry, INDENT)));
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let head = lines.get(begin).copied().unwrap_or_default();
    let head = match head.trim_end().strip_suffix("{}") {
        Some(bare) => format!("{}\n", bare.trim_end()),
        None if head.ends_with('\n') => head.to_owned(),
        None => format!("{head}\n"),
    };
    let after = lines.get(begin + 1..).unwrap_or_default();
    let first = after.iter().find(|line| !is_blank(line)).map_or(0, |line| indent(line));
    let block = block(name, &entry, if first == 0 { INDENT } else { first });
    let before = lines.get(..begin).unwrap_or_default().concat();
    Ok(format!("{before}{head}{block}{}", after.concat()))
}

pub(super) fn without(text: &str, at: &[&str], name: &str) -> Result<String, String> {
    let [section] = at else { return Err(super::by_hand()) };
    let Some(begin) = section_line(text, section) else { return Ok(text.to_owned()) };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let in_section =
        lines.iter().enumerate().skip(begin + 1).take_while(|(_, line)| is_blank(line) || indent(line) > 0);
    let is_head = |line: &str| line.trim_start().trim_end() == format!("{name}:");
    let Some((start, head)) = in_section.clone().find(|(_, line)| is_head(line)) else {
        return Ok(text.to_owned());
    };
    let inner = in_section.skip_while(|(place, _)| *place <= start);
    let inner = inner.take_while(|(_, line)| is_blank(line) || indent(line) > indent(head));
    // Comments and blank lines behind it belong to what follows.
    let end = inner.filter(|(_, line)| !is_blank(line)).last().map_or(start, |(place, _)| place);
    let kept = lines.iter().enumerate().filter(|(place, _)| *place < start || *place > end);
    Ok(kept.map(|(_, line)| *line).collect())
}

pub(super) fn parse(text: &str) -> Result<Value, String> {
    let value: Value = yaml_serde::from_str(text).map_err(|cause| {
        let line = cause.location().map_or(1, |place| place.line());
        format!("is not valid YAML (line {line})")
    })?;
    match value {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Object(_) => Ok(value),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err("is YAML, but no mapping".to_owned())
        }
    }
}

/// The line on which `section` begins, at the left margin.
fn section_line(text: &str, section: &str) -> Option<usize> {
    text.split_inclusive('\n').position(|line| {
        let rest = line.strip_prefix(section).and_then(|rest| rest.strip_prefix(':'));
        rest.is_some_and(|rest| {
            rest.trim().is_empty() || rest.trim() == "{}" || rest.trim_start().starts_with('#')
        })
    })
}

fn block(name: &str, entry: &Map<String, Value>, indent: usize) -> String {
    let outer = " ".repeat(indent);
    let mut block = format!("{outer}{name}:\n");
    for (field, value) in entry {
        // JSON is YAML, also on one line.
        block.push_str(&format!("{outer}{outer}{field}: {value}\n"));
    }
    block
}

fn is_blank(line: &str) -> bool {
    let text = line.trim();
    text.is_empty() || text.starts_with('#')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}
