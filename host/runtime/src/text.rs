//! Text for one line of a log, a table or a message.

/// `text` without anything that moves a terminal's cursor.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
