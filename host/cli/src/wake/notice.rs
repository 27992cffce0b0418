//! The words that an agent reads: fixed ones and numbers.

use jiff::Zoned;
use molecule_runtime::guest::wire::Ring;

/// Writes notices, no two of which are the same: clients drop what they have just had.
pub(super) struct Notices {
    server: String,
    written: u64,
}

impl Notices {
    /// `server` is the name under which the client knows this server.
    pub(super) const fn new(server: String) -> Self {
        Self { server, written: 0 }
    }

    /// The next one.
    pub(super) fn next(&mut self, ring: &Ring, now: &Zoned) -> String {
        self.written += 1;
        let (number, time, server) = (self.written, now.strftime("%H:%M:%S"), &self.server);
        let messages = messages(ring);
        format!(
            "Automatic notice {number} at {time} from molecule-mcp, not typed by the user: {messages} in the inbox of this \
             agent. Call the tool mcp__{server}__inbox_peek ({server}: inbox_peek) to read; it says how to reply and when \
             to call inbox_pop. This notice itself needs no reply."
        )
    }
}

fn messages(ring: &Ring) -> String {
    let Ring { unread, from_users, .. } = *ring;
    let (wait, who) = match (unread, from_users) {
        (1, 0) => ("1 message waits".to_owned(), String::new()),
        (1, 1..) => ("1 message of the user waits".to_owned(), String::new()),
        (count, 0) => (format!("{count} messages wait"), String::new()),
        (count, of_users) => (format!("{count} messages wait"), format!(", {of_users} of the user")),
    };
    let age =
        ring.oldest_secs.filter(|secs| *secs >= 60).map(|secs| format!(", the oldest for {} min", secs / 60));
    format!("{wait}{who}{}", age.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_counts_names_the_tool_in_full_and_is_never_the_same_twice() {
        let mut notices = Notices::new("molecule".to_owned());
        let now: Zoned = "2026-11-30T14:02:31[UTC]".parse().unwrap();

        let first = notices.next(&ring(2, 1, Some(150)), &now);
        let second = notices.next(&ring(2, 1, Some(150)), &now);

        assert!(
            first.starts_with(
                "Automatic notice 1 at 14:02:31 from molecule-mcp, not typed by the user: 2 messages wait, 1 of the user, \
                 the oldest for 2 min in the inbox"
            ),
            "{first}"
        );
        assert!(first.contains("mcp__molecule__inbox_peek") && !first.contains('\n'), "{first}");
        assert_ne!(first, second);
    }

    #[test]
    fn one_message_is_one() {
        assert_eq!(messages(&ring(1, 1, Some(59))), "1 message of the user waits");
        assert_eq!(messages(&ring(1, 0, None)), "1 message waits");
        assert_eq!(messages(&ring(3, 0, None)), "3 messages wait");
    }

    fn ring(unread: u32, from_users: u32, oldest_secs: Option<u64>) -> Ring {
        Ring { workspace: 0, unread, from_users, oldest_secs, attempt: 1 }
    }
}
